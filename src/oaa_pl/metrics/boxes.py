"""Boxes round the parts of a map above a threshold, and how they overlap with true boxes.

Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR 2020; the
conventions are those of its benchmark's code. A box is (x0, y0, x1, y1) in pixels, and pixel x1 is
part of it: widths are x1 - x0 + 1. A box round a part of a map is one pixel too wide and too high,
unless it ends at the image's border: scores would not compare with the published ones otherwise.

Shapes: H x W pixels, N boxes, T thresholds.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import ConfigError, ShapeError

__all__ = ["box_iou", "boxes_at", "resized_box"]

Boxes = NDArray[np.int64]


def box_iou(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    """Intersection over union of every pair of boxes.

    Args:
        one: boxes (x0, y0, x1, y1), (N, 4).
        other: boxes, (M, 4).

    Returns:
        IoU in [0, 1], (N, M).

    Raises:
        ShapeError: if an array is not a list of boxes, or a box ends before it begins.

    Examples:
        >>> box_iou(np.array([[1, 2, 5, 6]]), np.array([[3, 1, 4, 5]])).round(4)  # 8 / 27
        array([[0.2963]])
    """
    one, other = _checked(one), _checked(other)
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    both = (high - low + 1).clip(min=0).prod(axis=2)
    areas = (one[:, 2:] - one[:, :2] + 1).prod(1)[:, None] + (
        (other[:, 2:] - other[:, :2] + 1).prod(1)[None, :]
    )
    return np.asarray(both / (areas - both), np.float64)


def resized_box(
    box: Sequence[float], size: tuple[int, int], target: tuple[int, int]
) -> tuple[int, int, int, int]:
    """A box in the pixels of an image that is scaled to another size, rounded down.

    Args:
        box: (x0, y0, x1, y1).
        size: pixels (H, W) of its image.
        target: pixels (H, W) of the scaled image.

    Examples:
        >>> resized_box((1, 2, 4, 3), (20, 10), (10, 35))
        (3, 1, 14, 1)
    """
    down, across = target[0] / size[0], target[1] / size[1]
    x0, y0, x1, y1 = box
    return int(x0 * across), int(y0 * down), int(x1 * across), int(y1 * down)


def boxes_at(attention: NDArray[np.float32], thresholds: Sequence[float]) -> list[Boxes]:
    """Boxes round the connected parts of a map above each threshold, the largest part first.

    A threshold is a share of the map's maximum, and a pixel must be above it. The map is cut
    into 256 levels first.

    Args:
        attention: in [0, 1], (H, W).
        thresholds: in [0, 1), T.

    Returns:
        For each threshold, boxes (N, 4), N 1 or more; (0, 0, 0, 0) where no pixel is above it.

    Raises:
        ConfigError: if the map is not in [0, 1], or NaN.

    Examples:
        >>> boxes_at(np.zeros((3, 3)), [0.0, 0.5])
        [array([[0, 0, 0, 0]]), array([[0, 0, 0, 0]])]
    """
    if not (attention.min() >= 0 and attention.max() <= 1):  # NaN fails it too
        raise ConfigError(
            f"attention must be in [0, 1], got {attention.min():g} to {attention.max():g}: "
            "normalise the maps first"
        )
    levels = (attention * 255).astype(np.uint8)
    highest = int(levels.max())
    at: dict[int, Boxes] = {}  # 256 levels at most, whatever the number of thresholds
    for threshold in thresholds:
        level = int(threshold * highest)
        if level not in at:
            at[level] = _boxes_above(levels, level)
    return [at[int(threshold * highest)] for threshold in thresholds]


def _boxes_above(levels: NDArray[np.uint8], level: int) -> Boxes:
    height, width = levels.shape
    above = (levels > level).astype(np.uint8)
    # All contours, those of holes too, as the benchmark.
    contours = list(cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0])
    if not contours:
        return np.zeros((1, 4), np.int64)
    # `max` takes the first of equally large ones: a stable sort has it first.
    contours.sort(key=cv2.contourArea, reverse=True)
    boxes = []
    for contour in contours:
        x, y, w, h = cv2.boundingRect(contour)
        boxes.append([x, y, min(x + w, width - 1), min(y + h, height - 1)])
    return np.array(boxes, np.int64)


def _checked(boxes: Boxes) -> Boxes:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"boxes must be (N, 4), got {boxes.shape}: give x0, y0, x1, y1 each")
    wrong = boxes[(boxes[:, 2:] < boxes[:, :2]).any(axis=1)]
    if len(wrong):
        raise ShapeError(
            f"a box must be (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1, got {wrong[0].tolist()}: "
            "width and height are not its ends"
        )
    return boxes
