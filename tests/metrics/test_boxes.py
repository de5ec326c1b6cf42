"""Boxes by the conventions of the localisation benchmark (Choe et al., CVPR 2020)."""

import numpy as np
import pytest
from hypothesis import given
from tests.metrics.random_maps import QUICK, SEEDS

from oaa_pl.errors import ConfigError, ShapeError
from oaa_pl.metrics import box_iou, boxes_at, resized_box

FIFTHS = np.arange(0, 1, 0.2).tolist()


def pixels_of(box: np.ndarray) -> set[tuple[int, int]]:
    x0, y0, x1, y1 = box.tolist()
    return {(x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1)}


def random_boxes(seed: int, count: int) -> np.ndarray:
    ends = np.random.default_rng(seed).integers(0, 9, (count, 2, 2))
    return np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)


@QUICK
@given(SEEDS)
def test_the_overlap_of_boxes_is_that_of_their_pixels(seed: int) -> None:
    one, other = random_boxes(seed, 3), random_boxes(seed + 1, 4)
    found = box_iou(one, other)
    for i, a in enumerate(map(pixels_of, one)):
        for j, b in enumerate(map(pixels_of, other)):
            assert found[i, j] == pytest.approx(len(a & b) / len(a | b))


def test_the_overlap_has_the_benchmarks_golden_values() -> None:
    assert box_iou(np.array([[1, 2, 5, 6]]), np.array([[3, 1, 4, 5]])) == pytest.approx(8 / 27)
    assert (box_iou(np.zeros((3, 4), int), np.zeros((5, 4), int)) == 1).all()
    boxes = np.array([[1, 1, 3, 3], [4, 4, 5, 5]])
    assert (box_iou(boxes, boxes) == np.eye(2)).all()


def test_a_box_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"with x0 <= x1 and y0 <= y1, got \[1, 1, 0, 0\]"):
        box_iou(np.array([[1, 1, 0, 0]]), np.array([[1, 1, 2, 2]]))
    with pytest.raises(ShapeError, match=r"boxes must be \(N, 4\), got \(4,\)"):
        box_iou(np.array([1, 1, 2, 2]), np.array([[1, 1, 2, 2]]))


def test_a_box_is_scaled_as_in_the_benchmark() -> None:
    assert resized_box((1, 2, 4, 3), (20, 10), (10, 35)) == (3, 1, 14, 1)
    assert resized_box((1, 2, 1, 2), (3, 3), (3, 3)) == (1, 2, 1, 2)


def test_a_degenerate_map_has_one_box_of_one_pixel() -> None:
    for boxes in boxes_at(np.zeros((3, 3)), FIFTHS):
        assert boxes.tolist() == [[0, 0, 0, 0]]


def test_the_boxes_of_one_peak_shrink_as_the_benchmarks() -> None:
    attention = np.array([[0, 0, 0, 0, 0], [0, 4, 4, 4, 6], [0, 4, 10, 8, 6], [0, 4, 4, 4, 6]]) / 10
    first = [boxes[0].tolist() for boxes in boxes_at(attention, FIFTHS)]
    assert first == [[1, 1, 4, 3], [1, 1, 4, 3], [2, 1, 4, 3], [2, 2, 4, 3], [2, 2, 3, 3]]


def test_the_largest_of_several_parts_is_first_as_in_the_benchmark() -> None:
    attention = np.array([[4, 0, 2, 2, 2], [4, 4, 0, 4, 0], [0, 0, 0, 4, 0], [10, 6, 8, 2, 2]]) / 10
    found = boxes_at(attention, FIFTHS)
    first = [boxes[0].tolist() for boxes in found]
    assert first == [[0, 0, 4, 3], [0, 0, 2, 2], [0, 3, 3, 3], [2, 3, 3, 3], [0, 3, 1, 3]]
    assert len(found[1]) > 1


def test_attention_out_of_range_is_refused() -> None:
    for bad in (np.full((3, 3), np.nan), np.full((3, 3), 1.5)):
        with pytest.raises(ConfigError, match=r"attention must be in \[0, 1\]"):
            boxes_at(bad, FIFTHS)
