"""Saliency by networks whose answer can be worked out by hand; their library is an extra."""

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.proxy.tiny_onnx import save_model

from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.proxy import saliency_model
from oaa_pl.proxy.saliency_model import SaliencyModel

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PHOTO = np.random.default_rng(0).integers(0, 200, (8, 8, 3), dtype=np.uint8)


def needs_the_extra() -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'saliency' is not installed")


def model(path: Path, side: int = 8, **made: Any) -> SaliencyModel:
    return SaliencyModel(save_model(path / "tiny.onnx", **made), side, MEAN, STD)


def stretched(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / (values.max() - values.min())


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("size", [(8, 8), ("h", "w")])
def test_the_first_output_is_stretched_over_the_photo(
    tmp_path: Path, channel: int, size: tuple[Any, Any]
) -> None:
    needs_the_extra()
    saliency = model(tmp_path, channel=channel, size=size)(PHOTO)
    assert saliency.dtype == np.float32
    np.testing.assert_allclose(saliency, stretched(PHOTO[..., channel] / 255), atol=1e-5)


def test_the_input_is_divided_by_its_brightest_value_and_normalised(tmp_path: Path) -> None:
    needs_the_extra()
    # |x| tells where zero is: a stretch alone would forgive a wrong mean and a wrong maximum.
    saliency = model(tmp_path, channel=1, then=["Abs"])(PHOTO)
    normal = (PHOTO[..., 1] / PHOTO.max() - MEAN[1]) / STD[1]
    np.testing.assert_allclose(saliency, stretched(abs(normal)), atol=1e-5)


def test_a_channel_is_divided_by_its_own_deviation(tmp_path: Path) -> None:
    needs_the_extra()
    # exp is not linear, so the scale of its input shows as well.
    saliency = model(tmp_path, channel=2, then=["Exp"])(PHOTO)
    normal = (PHOTO[..., 2] / PHOTO.max() - MEAN[2]) / STD[2]
    np.testing.assert_allclose(saliency, stretched(np.exp(normal)), atol=1e-5)


@pytest.mark.parametrize("size", [(16, 12), ("h", "w")])
def test_a_photo_of_any_size_gets_a_map_of_its_own(tmp_path: Path, size: tuple[Any, Any]) -> None:
    needs_the_extra()
    photo = np.zeros((40, 64, 3), np.uint8)
    photo[:, 32:, 0] = 200
    saliency = model(tmp_path, size=size)(photo)
    assert saliency.shape == (40, 64)
    assert saliency[:, :20].max() < 0.1
    assert saliency[:, 44:].min() > 0.9
    assert saliency.min() == 0
    assert saliency.max() <= 1


@pytest.mark.parametrize("level", [0, 90])
def test_a_photo_in_which_nothing_stands_out_has_no_saliency(tmp_path: Path, level: int) -> None:
    needs_the_extra()
    assert (model(tmp_path)(np.full((5, 7, 3), level, np.uint8)) == 0).all()


def test_other_processes_can_have_a_copy(tmp_path: Path) -> None:
    needs_the_extra()
    original = model(tmp_path)
    pickled = pickle.dumps(original)
    assert len(pickled) < 1000
    saliency_model._network.cache_clear()
    assert np.array_equal(pickle.loads(pickled)(PHOTO), original(PHOTO))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"channels": 1}, r"takes .*1, 1, 'h', 'w'.* expected one float input .*\(1, 3, h, w\)"),
        ({"channel": None}, r"shape \(1, 3, 8, 8\), expected one map \(1, 1, h, w\)"),
        ({"then": ["Flatten"]}, r"shape \(1, 64\), expected one map"),
        ({"then": ["Log"]}, "values that are not finite"),
    ],
)
def test_a_network_of_another_kind_is_named(
    tmp_path: Path, made: dict[str, Any], message: str
) -> None:
    needs_the_extra()
    with pytest.raises(WeightsError, match=message):
        model(tmp_path, **made)(PHOTO)


def test_a_network_that_fails_is_one_line_with_what_to_do(tmp_path: Path) -> None:
    needs_the_extra()
    # There is no such channel.
    with pytest.raises(WeightsError, match=r"fails on a photo of 8 x 8 px .*saliency.size"):
        model(tmp_path, channel=7)(PHOTO)


@pytest.mark.parametrize("content", [b"", b"no network", b"half"])
def test_a_file_that_is_no_network_is_named(tmp_path: Path, content: bytes) -> None:
    needs_the_extra()
    path = save_model(tmp_path / "tiny.onnx")
    path.write_bytes(path.read_bytes()[:150] if content == b"half" else content)
    with pytest.raises(WeightsError, match=r"tiny.onnx' cannot be run as an ONNX file"):
        SaliencyModel(path, 8, MEAN, STD)


@pytest.mark.parametrize("name", ["u2net", "absent/u2net.onnx", "."])
def test_a_missing_file_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"cannot be read .*models are not fetched by name"):
        SaliencyModel(name, 320, MEAN, STD)


def test_without_a_path_it_says_how_to_give_one() -> None:
    with pytest.raises(ConfigError, match=r"saliency.model is not set; give saliency.model="):
        SaliencyModel(None, 320, MEAN, STD)


@pytest.mark.parametrize(
    ("size", "mean", "std"),
    [(0, MEAN, STD), (320, MEAN[:2], STD), (320, MEAN, (*STD, 1.0)), (320, MEAN, (0.2, 0.2, 0.0))],
)
def test_numbers_out_of_range_are_refused(
    size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    with pytest.raises(ConfigError, match=r"saliency.size must be 1 or more"):
        SaliencyModel("u2net.onnx", size, mean, std)


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    saliency_model._network.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'oaa_pl\[saliency\]'"):
        model(tmp_path)


@pytest.mark.parametrize(
    ("said", "cores", "expected"),
    [("", 4, 4), ("2", 4, 2), ("8", 4, 4), ("8", 1, 1), ("0", 4, 1), ("2,1", 4, 4)],
)
def test_it_takes_no_more_threads_than_it_may(
    monkeypatch: pytest.MonkeyPatch, said: str, cores: int, expected: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    monkeypatch.setattr(saliency_model.cv2, "getNumThreads", lambda: cores)
    assert saliency_model._threads() == expected
