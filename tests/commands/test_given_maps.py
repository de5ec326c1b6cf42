"""`oaa evaluate maps=FOLDER`: anybody's maps and label maps, without a run."""

import csv
import math
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands.tiny import files, oaa, require_refusal, words
from tests.conftest import TINY

from oaa_pl.data.masks import read_mask
from oaa_pl.data.voc import VOC_CLASSES
from oaa_pl.proxy.palette import save_label

TRAIN, VAL = list(TINY)[:4], list(TINY)[4:]


def masks(voc: Path, names: list[str]) -> dict[str, np.ndarray]:
    return {name: read_mask(voc / "SegmentationClass" / f"{name}.png") for name in names}


def save_perfect(folder: Path, voc: Path, kind: str, names: list[str] = TRAIN) -> None:
    """Maps that are 1 on their object and 0 elsewhere."""
    folder.mkdir(exist_ok=True)
    for name, mask in masks(voc, names).items():
        keys = np.array([label - 1 for label in TINY[name][1]])
        cam = np.stack([mask == key + 1 for key in keys]).astype(np.float32)
        if kind == "npy":
            np.save(folder / f"{name}.npy", {"keys": keys, "high_res": cam}, allow_pickle=True)  # type: ignore[arg-type]  # as irn does
        elif kind == "npz":
            np.savez(folder / f"{name}.npz", keys=keys, cam=cam)
        else:
            for key, one in zip(keys, cam, strict=True):
                Image.fromarray((255 * one).astype(np.uint8)).save(folder / f"{name}_{key}.png")


def results(path: Path) -> dict[str, float]:
    with path.open(newline="") as file:
        return {row["metric"]: float(row["value"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize("kind", ["npy", "npz", "png"])
def test_perfect_maps_have_perfect_scores_in_every_format(
    empty: Path, tiny_voc_once: Path, kind: str
) -> None:
    save_perfect(empty / "cams", tiny_voc_once, kind)
    said = oaa("evaluate", "maps=cams", *words(tiny_voc_once))
    assert said.status == 0, said.err
    assert "cams: maps of 4 images of voc12/train, cut at 0.3" in said.out
    output = empty / "runs/tiny/maps/cams/train"
    tables = {"results.csv", "classes.csv", "confusion.csv", "curve.csv", "curve.png"}
    assert files(output) == tables
    found = results(output / "results.csv")
    for name in ("miou", "precision", "recall", "boundary_iou", "pxap", "miou_best"):
        assert found[f"maps/{name}"] == pytest.approx(100), name
    assert found["maps/m_fp"] == found["maps/m_fn"] == 0
    assert f"{'miou':<15}" in said.out


def test_the_scores_of_label_maps_are_those_of_plain_numpy(
    empty: Path, tiny_voc_once: Path
) -> None:
    (empty / "labels").mkdir()
    confusion = np.zeros((21, 21), int)
    for place, (name, mask) in enumerate(masks(tiny_voc_once, TRAIN).items()):
        made = np.roll(np.where(mask == 255, 0, mask), 3 + place, axis=1)
        save_label(empty / f"labels/{name}.png", made)
        for true, found in zip(mask.ravel(), made.ravel(), strict=True):
            if true != 255:
                confusion[true, found] += 1
    said = oaa("evaluate", "maps=labels", *words(tiny_voc_once))
    assert said.status == 0, said.err
    hits = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hits
    seen = union > 0
    output = empty / "runs/tiny/maps/labels/train"
    found = results(output / "results.csv")
    assert found["labels/miou"] == pytest.approx(100 * np.mean(hits[seen] / union[seen]), abs=1e-3)
    objects = [c for c in range(1, 21) if union[c]]
    over = np.mean([(confusion[:, c].sum() - hits[c]) / hits[c] for c in objects])
    assert found["labels/m_fp"] == pytest.approx(over, abs=1e-4)
    assert files(output) == {"results.csv", "classes.csv", "confusion.csv"}


def test_both_splits_are_scored_where_both_have_maps(empty: Path, tiny_voc_once: Path) -> None:
    save_perfect(empty / "cams", tiny_voc_once, "npz", [*TRAIN, *VAL])
    said = oaa("evaluate", "maps=cams", *words(tiny_voc_once))
    assert said.status == 0, said.err
    assert {path.parent.name for path in empty.rglob("results.csv")} == {"train", "val"}


def test_a_class_that_is_never_hit_is_undefined_in_the_long_table(
    empty: Path, tiny_voc_once: Path
) -> None:
    (empty / "labels").mkdir()
    for name, mask in masks(tiny_voc_once, TRAIN).items():
        save_label(empty / f"labels/{name}.png", np.zeros_like(mask))
    said = oaa("evaluate", "maps=labels", *words(tiny_voc_once))
    assert said.status == 0, said.err
    assert "inf" in said.out
    assert math.isnan(results(empty / "runs/tiny/maps/labels/train/results.csv")["labels/m_fn"])


def test_maps_of_classes_that_are_not_tagged_are_warned_of(
    empty: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_perfect(empty / "cams", tiny_voc_once, "png")
    name = TRAIN[0]
    (cam,) = (empty / "cams").glob(f"{name}_*.png")
    cam.rename(cam.with_name(f"{name}_0.png"))
    said = oaa("evaluate", "maps=cams", *words(tiny_voc_once))
    assert said.status == 0, said.err
    assert "the maps of 1 of 4 images are of other classes than the image's tags" in caplog.text


def remade(folder: Path, shape: tuple[int, int]) -> None:
    """Label maps of one size in the place of the maps."""
    clear(folder)
    for name in TRAIN:
        save_label(folder / f"{name}.png", np.zeros(shape, np.uint8))


def clear(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def of_class_20(folder: Path) -> None:
    (folder / f"{TRAIN[0]}.npz").unlink()
    Image.new("L", (4, 4)).save(folder / f"{TRAIN[0]}_{len(VOC_CLASSES)}.png")


BREAK: dict[str, Callable[[Path], object]] = {
    "missing": lambda folder: (folder / f"{TRAIN[0]}.npz").unlink(),
    "class": lambda folder: np.savez(
        folder / f"{TRAIN[0]}.npz", keys=[20], cam=np.ones((1, 4, 4))
    ),
    "png class": of_class_20,
    "range": lambda folder: np.savez(
        folder / f"{TRAIN[0]}.npz", keys=[7], cam=np.full((1, 4, 4), 7.0)
    ),
    "both": lambda folder: save_label(folder / f"{TRAIN[1]}.png", np.zeros((64, 40), np.uint8)),
    "two formats": lambda folder: np.save(
        folder / f"{TRAIN[0]}.npy", {"keys": [7], "cam": np.ones((1, 4, 4))}, allow_pickle=True
    ),
    "two forms": lambda folder: Image.new("L", (4, 4)).save(folder / f"{TRAIN[0]}_7.png"),
    "zeros": lambda folder: Image.new("L", (4, 4)).save(folder / f"{TRAIN[0]}_07.png"),
    "empty": clear,
    "size": lambda folder: remade(folder, (9, 9)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("how", "fragment"),
    [
        ("missing", "has no map and no label map of 1 of the 4 images of voc12/train"),
        ("class", "`keys` must be 1 numbers of range(0, 20), got [20]"),
        ("png class", "is of the unknown class 20, expected 0..19"),
        ("range", "`cam` must be in [0, 1]; divide each map by its maximum"),
        ("both", "has maps (of 2007_000001, 2007_000002, ...) and label maps (of 2007_000002)"),
        ("two formats", f"twice ({TRAIN[0]}.npz, {TRAIN[0]}.npy): which ones are meant?"),
        ("two forms", f"twice ({TRAIN[0]}_7.png, {TRAIN[0]}.npz): which ones are meant?"),
        ("zeros", f"{TRAIN[0]}_07.png: write its class as 7, without zeros before it"),
        ("empty", "has no map of any image of voc12/train, voc12/val; maps are named like"),
        ("size", "is 9 x 9 px but its photo is 64 x 48 px"),
    ],
)
def test_bad_maps_are_refused_and_nothing_is_written(
    empty: Path, tiny_voc_once: Path, how: str, fragment: str
) -> None:
    save_perfect(empty / "cams", tiny_voc_once, "npz")
    BREAK[how](empty / "cams")
    said = oaa("evaluate", "maps=cams", *words(tiny_voc_once))
    assert said.status == 2
    assert fragment in said.last
    assert not (empty / "runs").exists()


def test_a_folder_that_does_not_exist_is_named(empty: Path, tiny_voc_once: Path) -> None:
    said = oaa("evaluate", "maps=cams", *words(tiny_voc_once))
    require_refusal(said, "maps=cams is not a folder: give the one that has the maps")


def test_label_maps_that_show_no_class_are_warned_of(
    empty: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (empty / "labels").mkdir()
    for name in TRAIN:  # masks of two colours: 255 is the object there, and no label here
        mask = np.asarray(Image.open(tiny_voc_once / f"SegmentationClass/{name}.png"))
        Image.fromarray(np.where(mask > 0, 255, 0).astype(np.uint8)).save(f"labels/{name}.png")
    said = oaa("evaluate", "maps=labels", *words(tiny_voc_once))
    assert said.status == 0, said.err
    assert "no label map has a pixel of any class; ids are 1..20" in caplog.text


@pytest.mark.parametrize("limit", [2_000, 20_000])
def test_a_full_disk_leaves_no_results_that_look_complete(
    empty: Path, tiny_voc_once: Path, limit: int
) -> None:
    save_perfect(empty / "cams", tiny_voc_once, "npz")
    assert oaa("evaluate", "maps=cams", *words(tiny_voc_once)).status == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        said = oaa("evaluate", "maps=cams", *words(tiny_voc_once))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert said.status == 2
    assert "cannot be written (File too large)" in said.last
    folder = empty / "runs/tiny/maps/cams/train"
    assert not (folder / "results.csv").exists()
    assert not list(folder.glob(".*"))
