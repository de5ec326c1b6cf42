"""`oaa label`: resumed, with processes of its own, and what it says of bad input."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands.tiny import Said, oaa, require_refusal, words
from tests.conftest import TINY, TINY_SPLITS

from oaa_pl.proxy.palette import load_label
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader

SEED = Path("runs/tiny/seed-0")
LABELS, SEGMENTER = SEED / "labels/oaa_max", SEED / "segmenter/oaa_max"


@pytest.mark.slow
def test_the_cores_are_counted_where_no_process_is_bound_to_some(
    again: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS, which has neither this call nor the other."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    shutil.rmtree(LABELS)
    shutil.rmtree(SEED / "attention/cam")
    for line in ("attend method=cam", "label method=oaa_max label.workers=null"):
        said = oaa(*line.split()[:1], *words(tiny_voc_once), *line.split()[1:])
        assert said.status == 0, said.err


def test_an_interrupted_stage_keeps_what_it_made(again: Path, tiny_voc_once: Path) -> None:
    made = sorted(LABELS.glob("*/*.png"))
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in made}
    done = json.loads((LABELS / "done.json").read_text())
    (LABELS / "done.json").unlink()
    lost, torn = made[0], made[-1]
    lost.unlink()
    torn.write_bytes(torn.read_bytes()[:20])
    said = oaa("label", *words(tiny_voc_once), "method=oaa_max", "label.workers=2")
    assert said.status == 0, said.err
    for path, (content, written) in before.items():
        assert path.read_bytes() == content
        if path.name not in (lost.name, torn.name):
            assert path.stat().st_mtime_ns == written
    after = json.loads((LABELS / "done.json").read_text())
    assert after.pop("seconds") >= 0
    done.pop("seconds")
    assert after == done


def test_other_saliency_maps_are_not_taken_for_the_same(
    again: Path, tiny_voc_once: Path, tmp_path: Path
) -> None:
    plain = [word for word in words(tiny_voc_once) if not word.startswith("background")]
    folders = [saliency(tmp_path / name, level) for name, level in (("one", 245), ("two", 255))]
    shutil.copytree(folders[0], tmp_path / "moved")
    shutil.rmtree(LABELS)

    def label(folder: Path) -> Said:
        where = f"data.saliency={folder}"
        return oaa("label", *plain, "method=oaa_max", "background=folder", where)

    first = label(folders[0])
    assert first.status == 0, first.err
    assert label(tmp_path / "moved").status == 0
    require_refusal(label(folders[1]), "made with other saliency maps", "name=...")
    shutil.rmtree(folders[0])
    assert label(folders[0]).status == 0  # a finished stage needs none


def test_a_segmenter_is_not_taken_for_that_of_other_saliency_maps(
    again: Path, tiny_voc_once: Path, tmp_path: Path
) -> None:
    plain = [word for word in words(tiny_voc_once) if not word.startswith("background")]
    for stage in (LABELS, SEGMENTER):
        shutil.rmtree(stage)
    said = []
    for name, level in (("one", 245), ("two", 255)):
        folder = saliency(tmp_path / name, level)
        chosen = (*plain, "method=oaa_max", "background=folder", f"data.saliency={folder}")
        shutil.rmtree(LABELS, ignore_errors=True)
        made = oaa("label", *chosen)
        assert made.status == 0, made.err
        said.append(oaa("fit", "stage=segmenter", *chosen))
    assert said[0].status == 0, said[0].err
    require_refusal(said[1], str(SEGMENTER), "made with other saliency maps of labels")


def saliency(folder: Path, level: int, *, red: bool = False, grow: int = 0) -> Path:
    """A saliency map of every training photo, a ramp of 20 levels up to `level`."""
    folder.mkdir()
    for name in TINY_SPLITS["train"]:
        height, width = TINY[name][0]
        ramp = np.linspace(level - 20, level, (height + grow) * width).reshape(height + grow, width)
        levels = ramp.astype(np.uint8)
        picture = np.stack([levels, 0 * levels, 0 * levels], axis=2) if red else levels
        Image.fromarray(picture).save(folder / f"{name}.png")
    return folder


@pytest.mark.parametrize(
    ("how", "fragment", "workers"),
    [
        ({"grow": 3}, "make it at the photo's size", 1),
        pytest.param({"grow": 3}, "make it at the photo's size", 2, marks=pytest.mark.slow),
        pytest.param({"red": True}, "must be grayscale, got a colour", 1, marks=pytest.mark.slow),
        ({"red": True}, "must be grayscale, got a colour picture", 2),
    ],
)
def test_saliency_of_another_size_or_in_colour_is_one_line(
    again: Path, tiny_voc_once: Path, tmp_path: Path, how: dict, fragment: str, workers: int
) -> None:
    plain = [word for word in words(tiny_voc_once) if not word.startswith("background")]
    folder = saliency(tmp_path / "maps", 255, **how)
    shutil.rmtree(LABELS)
    said = oaa(
        "label", *plain, "method=oaa_max", "background=folder", f"data.saliency={folder}",
        f"label.workers={workers}",
    )  # fmt: skip
    assert said.status == 2
    assert fragment in said.last
    assert str(folder / f"{TINY_SPLITS['train'][0]}.png") in said.last
    assert not (LABELS / "done.json").exists()


def test_images_without_foreground_are_ignored_counted_and_named(
    again: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hard = {path.stem: load_label(path) for path in sorted((LABELS / "hard").glob("*.png"))}
    shares = {name: float(((label > 0) & (label < 255)).mean()) for name, label in hard.items()}
    least = sorted(set(shares.values()))
    assert len(least) > 1, "the tiny run has changed: nothing tells its images apart"
    between = (least[0] + least[1]) / 2
    shutil.rmtree(LABELS)
    ignoring = "proxy.salient_background=1.0 proxy.attended_background=1.0 proxy.conflict=1.0"
    said = oaa(
        "label", *words(tiny_voc_once), "method=oaa_max", *ignoring.split(),
        f"proxy.minimum_foreground={between}",
    )  # fmt: skip
    assert said.status == 0, said.err
    empty = [name for name, share in shares.items() if share < between]
    named = f"{len(empty)} images without foreground are ignored: {', '.join(empty)}"
    assert named in caplog.text
    done = json.loads((LABELS / "done.json").read_text())
    assert done["ignored_images"] == empty
    for name in shares:
        whole = (load_label(LABELS / f"proxy/{name}.png") == 255).all()
        assert whole == (name in empty)


def test_a_store_that_lacks_pairs_is_refused_before_any_label(
    again: Path, tiny_voc_once: Path
) -> None:
    path = SEED / "attention/oaa_max/store"
    old = StoreReader(path)
    with MemmapStore(path, old.header, old.pairs, overwrite=True) as store:
        image, category = store.pairs.pairs[1:].T
        maps = np.ones((len(image), *store.header.grid), np.float32)
        store.fill(image, category, maps)
        store.commit()
        name, what = store.pairs.ids[0], store.pairs.classes[store.pairs.pairs[0][1]]
    shutil.rmtree(LABELS)
    require_refusal(
        oaa("label", *words(tiny_voc_once), "method=oaa_max"), "no map", f"{name} {what}"
    )
    assert not LABELS.exists()


@pytest.mark.parametrize(
    ("level", "advice"),
    [
        (0.25, "attention reaches only 0.25, below proxy.foreground=0.3: train what made the maps"),
        (0.5, "attention reaches 0.50, so look at the maps of the background cue"),
    ],
)
def test_labels_without_any_foreground_name_what_lacks(
    again: Path, tiny_voc_once: Path, level: float, advice: str
) -> None:
    path = SEED / "attention/oaa_max/store"
    old = StoreReader(path)
    with MemmapStore(path, old.header, old.pairs, overwrite=True) as store:
        image, category = store.pairs.pairs.T
        store.fill(image, category, np.full((len(image), *store.header.grid), level, np.float32))
        store.commit()
    shutil.rmtree(LABELS)
    said = oaa("label", *words(tiny_voc_once), "method=oaa_max", "background.value=0.2")
    assert said.status == 2
    assert advice in said.last
