"""The affine view of each geometric augmentation, and labels seen through a view.

A view maps normalised coordinates of the whole photo to those of the network's input, both
(x, y) in [-1, 1] from outer edge to outer edge (`align_corners=False`). In these
coordinates a plain resize is the identity, so a rule depends only on what moved *within* the
picture.

Each rule reads what the library drew, from the log that its `ReplayCompose` keeps. Transforming
keypoints instead would need no rules, but the library (2.0.8) places keypoints up to two pixels
beside what an image shows wherever it resizes, multiplies them where it mirrors a border, and
rounds them to float32. Its list of applied transforms leaves out those inside `OneOrOther`. The
tests compare every rule with pixels, and with keypoints where these are right.

Shapes: matrices (3, 3) float64, views (2, 3); sizes are (H, W) in pixels.
"""

from collections.abc import Callable, Mapping
from typing import Any

import albumentations as A  # as its own manual abbreviates it
import numpy as np
from numpy.typing import NDArray

from oaa_pl.ids import IGNORED

__all__ = ["MOVES", "STAYS", "Matrix", "warp_label"]

Matrix = NDArray[np.float64]
Rule = Callable[[Mapping[str, Any]], Matrix]

_IDENTITY = np.eye(3)
_MIRROR_X = np.diag([-1.0, 1.0, 1.0])
_MIRROR_Y = np.diag([1.0, -1.0, 1.0])
_TRANSPOSE = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
_QUARTER = _MIRROR_Y @ _TRANSPOSE  # np.rot90: counter-clockwise, as seen on the screen

_SQUARE_SYMMETRIES = {
    "e": _IDENTITY,
    "r90": _QUARTER,
    "r180": _QUARTER @ _QUARTER,
    "r270": _QUARTER @ _QUARTER @ _QUARTER,
    "v": _MIRROR_Y,
    "h": _MIRROR_X,
    "t": _TRANSPOSE,
    "hvt": _TRANSPOSE @ _QUARTER @ _QUARTER,
}


def warp_label(label: NDArray[np.uint8], view: Matrix, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A label map as the network sees its photo: nearest neighbour, ignored outside the photo.

    Args:
        label: class ids of the whole photo, (H, W); any resolution.
        view: whole photo to network input, (2, 3) or (3, 3).
        size: (h, w) of the network input.

    Returns:
        (h, w) uint8; 255 where the view shows no part of the photo.

    Examples:
        >>> right_half = np.array([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
        >>> warp_label(np.array([[1, 2, 3, 4]], dtype=np.uint8), right_half, (1, 4))
        array([[3, 3, 4, 4]], dtype=uint8)
    """
    back = np.linalg.inv(np.vstack([view[:2], [0.0, 0.0, 1.0]]))
    y, x = ((np.arange(n) + 0.5) * 2 / n - 1 for n in size)  # pixel centres
    place = []
    for row, length in zip(back[:2], label.shape[::-1], strict=True):
        whole = row[0] * x[None, :] + row[1] * y[:, None] + row[2]
        place.append(np.floor((whole + 1) * (length / 2)).astype(np.int64))
    (column, width), (line, height) = zip(place, label.shape[::-1], strict=True)
    inside = (column >= 0) & (column < width) & (line >= 0) & (line < height)
    seen = label[line.clip(0, height - 1), column.clip(0, width - 1)]
    return np.where(inside, seen, np.uint8(IGNORED))


def _pixels(height: float, width: float) -> Matrix:
    """Normalised coordinates to pixel indices, whose whole numbers are pixel *centres*."""
    return np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])


def _from_pixels(matrix: Matrix, before: tuple[int, int], after: tuple[int, int]) -> Matrix:
    normalised: Matrix = np.linalg.inv(_pixels(*after)) @ matrix @ _pixels(*before)
    return normalised


def _shift(x: float, y: float) -> Matrix:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _crop(params: Mapping[str, Any]) -> Matrix:
    """Crops. Some pad first and give the crop in padded pixels; some resize afterwards."""
    padding = params.get("pad_params") or {}
    left, top, right, bottom = params["crop_coords"]
    move = _shift(padding.get("pad_left", 0) - left, padding.get("pad_top", 0) - top)
    return _from_pixels(move, params["shape"][:2], (bottom - top, right - left))


def _pad(params: Mapping[str, Any]) -> Matrix:
    height, width = params["shape"][:2]
    top, left = params["pad_top"], params["pad_left"]
    after = (height + top + params["pad_bottom"], width + left + params["pad_right"])
    return _from_pixels(_shift(left, top), (height, width), after)


def _affine(params: Mapping[str, Any]) -> Matrix:
    # The library rounds the output's size as it warps.
    height, width = (int(np.round(n)) for n in params["output_shape"][:2])
    return _from_pixels(params["matrix"], params["shape"][:2], (height, width))


def _rotate(params: Mapping[str, Any]) -> Matrix:
    before = params["shape"][:2]
    if params["x_max"] < 0:  # the library's sign that the borders are not cut off
        return _from_pixels(params["matrix"], before, before)
    move = _shift(-params["x_min"], -params["y_min"])
    after = (params["y_max"] - params["y_min"], params["x_max"] - params["x_min"])
    return _from_pixels(move @ params["matrix"], before, after)


def _quarters(params: Mapping[str, Any]) -> Matrix:
    turned: Matrix = np.linalg.matrix_power(_QUARTER, params["factor"])
    return turned


# By exact class: a subclass may do anything (`Lambda` is a `NoOp`).
MOVES: dict[type, Rule] = {
    A.HorizontalFlip: lambda _: _MIRROR_X,
    A.VerticalFlip: lambda _: _MIRROR_Y,
    A.Transpose: lambda _: _TRANSPOSE,
    A.RandomRotate90: _quarters,
    A.D4: lambda params: _SQUARE_SYMMETRIES[str(params["group_element"])],
    A.SquareSymmetry: lambda params: _SQUARE_SYMMETRIES[str(params["group_element"])],
    A.RandomCrop: _crop,
    A.CenterCrop: _crop,
    A.RandomCropFromBorders: _crop,
    A.RandomSizedCrop: _crop,
    A.RandomResizedCrop: _crop,
    A.Pad: _pad,
    A.PadIfNeeded: _pad,
    A.Affine: _affine,
    A.ShiftScaleRotate: _affine,
    A.SafeRotate: _affine,
    A.Rotate: _rotate,
}
"""Augmentations that move pixels by an affine map, with the map from what the library drew."""

STAYS: frozenset[type] = frozenset(
    {
        A.NoOp,
        A.Resize,
        A.SmallestMaxSize,
        A.LongestMaxSize,
        A.RandomScale,
        A.CoarseDropout,
        A.Erasing,
        A.GridDropout,
        A.XYMasking,
        A.PixelDropout,
    }
)
"""Augmentations under which every pixel keeps its normalised place: scaled or erased, not moved."""
