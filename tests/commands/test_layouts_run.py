"""A tiny COCO tree and a tiny ImageNet tree, from tags to masks."""

import csv
from pathlib import Path

import numpy as np
import pytest
from tests.commands.tiny import oaa, words
from tests.data.tiny_layouts import WNIDS

from oaa_pl.proxy.palette import load_label

METHOD = "oaa_max"


def tiny(data: str, root: Path) -> tuple[str, ...]:
    """The words of a toy run on another layout."""
    voc = [word for word in words(root) if not word.startswith(("data=", "data.train", "data.val"))]
    return (f"data={data}", *voc, f"methods=[{METHOD}]", "fusion=maximum", "classifier.epochs=1",
            "segmenter.epochs=1")  # fmt: skip


@pytest.mark.parametrize(("data", "split"), [("coco", "train2017"), ("imagenet", "train")])
def test_a_tiny_tree_becomes_masks(
    empty: Path, tiny_coco_once: Path, tiny_imagenet_once: Path, data: str, split: str
) -> None:
    if data == "coco":
        pytest.importorskip("pycocotools")
    root = tiny_coco_once if data == "coco" else tiny_imagenet_once
    said = oaa("reproduce", *tiny(data, root))
    assert said.status == 0, said.err
    run = empty / "runs/tiny/seed-0"
    labels = sorted((run / f"labels/{METHOD}/proxy").glob("*.png"))
    assert len(labels) == (9 if data == "coco" else 8)
    assert load_label(labels[0]).shape == (40, 48)
    assert (run / f"segmenter/{METHOD}/last.ckpt").is_file()
    if data == "coco":
        with (empty / "runs/tiny/results.csv").open(newline="") as file:
            found = {(row["split"], row["metric"]) for row in csv.DictReader(file)}
        assert {(split, "attention/miou"), ("val2017", "segmentation/miou")} <= found


def test_others_maps_of_imagenet_are_scored_by_its_boxes(
    empty: Path, tiny_imagenet_once: Path
) -> None:
    (empty / "cams").mkdir()
    for place, wnid in enumerate(WNIDS):
        for number in range(2):
            cam = np.zeros((1, 40, 48), np.float32)
            if number == 0:
                cam[0, 6:30, 6:30] = 1
            else:
                cam[0, :3, :3] = 1
            path = empty / f"cams/{wnid}__{wnid}_val{number}.npy"
            np.save(path, {"keys": np.array([place]), "cam": cam}, allow_pickle=True)  # type: ignore[arg-type]  # as irn does
    said = oaa("evaluate", "maps=cams", *tiny("imagenet", tiny_imagenet_once))
    assert said.status == 0, said.err
    assert "cams: maps of 4 images of imagenet/val" in said.out
    with (empty / "runs/tiny/maps/cams/val/results.csv").open(newline="") as file:
        found = {row["metric"]: float(row["value"]) for row in csv.DictReader(file)}
    assert found == {f"maps/{name}": 50 for name in ("max_box_acc", "max_box_acc_v2", "gt_known")}
