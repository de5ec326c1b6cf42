"""One image's labels: maps, cue and CRF in, two PNGs out."""

import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from tests.proxy.test_crf import scene

from oaa_pl.proxy.crf import DenseCrf
from oaa_pl.proxy.palette import load_label
from oaa_pl.proxy.produce import LabelMaker
from oaa_pl.proxy.rule import ProxyRule

RULE = ProxyRule(0.3, 0.9, 32 / 255, 0.8, 0.0)


class Maps(NamedTuple):
    categories: np.ndarray
    attention: np.ndarray


def photo(index: int) -> np.ndarray:
    return scene()[0]


def maps(index: int) -> Maps:
    return Maps(np.array([6]), scene()[1][1:])


def cue(image_id: str, photo: np.ndarray) -> np.ndarray:
    return scene()[1][1]


def inverted(photo: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    return 1 - evidence


def maker(folder: Path, crf: object = None) -> LabelMaker:
    return LabelMaker(("a",), photo, maps, cue, RULE, folder, crf)  # type: ignore[arg-type]


def test_both_labels_are_written_and_counted(tmp_path: Path) -> None:
    made = maker(tmp_path)(0)
    proxy, hard = (load_label(tmp_path / name / "a.png") for name in ("proxy", "hard"))
    assert proxy.shape == hard.shape == scene()[0].shape[:2]
    assert set(np.unique(hard)) == {0, 7}
    assert made == ("a", (proxy == 7).mean(), (proxy == 255).mean())


def test_the_crf_sees_the_photo_and_decides_the_class(tmp_path: Path) -> None:
    maker(tmp_path / "plain")(0)
    maker(tmp_path / "inverted", inverted)(0)
    plain, turned = (load_label(tmp_path / n / "hard/a.png") for n in ("plain", "inverted"))
    assert ((plain == 7) != (turned == 7)).mean() > 0.9  # but for ties and dropped attention


def test_the_dense_crf_draws_labels_to_the_photos_edge(tmp_path: Path) -> None:
    pytest.importorskip("pydensecrf", reason="the extra 'crf' is not installed")
    maker(tmp_path / "plain")(0)
    with_crf = maker(tmp_path / "crf", DenseCrf())
    pickle.loads(pickle.dumps(with_crf))(0)  # as a worker process gets it
    truth = (photo(0)[..., 0] > 100) * 7
    wrong = {n: (load_label(tmp_path / n / "hard/a.png") != truth).mean() for n in ("plain", "crf")}
    assert wrong["crf"] < 0.01 < 0.1 < wrong["plain"]


def test_labels_that_are_there_are_kept_and_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    first = maker(tmp_path)(0)
    paths = [tmp_path / name / "a.png" for name in ("proxy", "hard")]
    content = [path.read_bytes() for path in paths]
    assert maker(tmp_path, inverted)(0) == first
    assert [path.read_bytes() for path in paths] == content
    for path in paths:
        path.write_bytes(path.read_bytes()[:30])
        assert maker(tmp_path)(0) == first
        assert [path.read_bytes() for path in paths] == content


def test_the_crf_is_asked_once_for_both_labels(tmp_path: Path) -> None:
    asked = []

    def counted(photo: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        asked.append(evidence.shape)
        return evidence

    maker(tmp_path, counted)(0)
    assert asked == [(2, *photo(0).shape[:2])]
