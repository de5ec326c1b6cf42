"""Boxes of COCO's objects: pixels that they touch, crowds left out, faults named."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.tiny_layouts import SIZE, add, save_coco, spoil, square

from oaa_pl.data.boxed import boxes_of
from oaa_pl.data.coco import CocoSource
from oaa_pl.data.coco_boxes import box_ends
from oaa_pl.errors import BadMaskError, BadTagFileError, MissingInputError

coder = pytest.importorskip("pycocotools.mask")


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    return save_coco(tmp_path / "coco")


def test_each_class_has_the_boxes_of_its_single_objects(coco: Path) -> None:
    def change(content: dict) -> None:
        add(content, 1, 3, square(30, 20, 8), bbox=[30, 20, 8, 8])
        add(content, 1, 18, square(2, 2, 30), bbox=[2, 2, 30, 30], iscrowd=1)

    spoil(coco, change)
    source = CocoSource(coco, "train2017")
    assert source.has_boxes
    found = {c: boxes.tolist() for c, boxes in boxes_of(source, 1).items()}
    assert found == {1: [[6, 6, 29, 29], [30, 20, 37, 27]]}  # the dogs are a crowd
    assert source.labels[1].tolist() == [0, 1, 1]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_the_box_of_an_encoding_is_that_of_its_pixels(seed: int) -> None:
    generator = np.random.default_rng(seed)
    area = np.zeros(SIZE, np.uint8)
    top, left = (int(generator.integers(0, side - 1)) for side in SIZE)
    area[top : top + generator.integers(1, 20), left : left + generator.integers(1, 20)] = 1
    down, across = np.nonzero(area)
    box = coder.toBbox(coder.encode(np.asfortranarray(area))).tolist()
    assert box_ends(box, SIZE) == (across.min(), down.min(), across.max(), down.max())


@pytest.mark.parametrize("box", [[40, 30, 30, 4], [-5, 3, 9, 9], [3, 3, 4, 99]])
def test_a_box_that_leaves_its_image_is_named(coco: Path, box: list[float]) -> None:
    spoil(coco, lambda content: add(content, 1, 3, [], bbox=box))
    with pytest.raises(BadTagFileError, match=r"annotation 13: the bbox \[.* leaves its image of"):
        CocoSource(coco, "train2017").boxes(1)


def test_a_box_that_leaves_its_image_by_rounding_is_cut(coco: Path) -> None:
    spoil(coco, lambda content: add(content, 1, 18, [], bbox=[-0.4, 20.2, 48.9, 20.5]))
    assert boxes_of(CocoSource(coco, "train2017"), 1)[2].tolist() == [[0, 20, 47, 39]]


def test_a_file_without_boxes_has_none(coco: Path) -> None:
    def change(content: dict) -> None:
        del content["annotations"][3]["bbox"]

    spoil(coco, change)
    source = CocoSource(coco, "train2017")
    assert not source.has_boxes
    assert boxes_of(source, 0) == {}
    with pytest.raises(MissingInputError, match=r"has objects without bbox: add them"):
        source.boxes(0)


def test_boxes_of_an_image_of_another_size_are_refused(coco: Path) -> None:
    def change(content: dict) -> None:
        content["images"][1].update(height=80, width=96)

    path = spoil(coco, change)
    assert json.loads(path.read_text())["images"][1]["height"] == 80
    with pytest.raises(BadMaskError, match="is 96 x 80 px, but its photo is 48 x 40 px"):
        CocoSource(coco, "train2017").boxes(1)
