"""Paint parts with smooth edges: draw larger, then average down.

Shapes: a canvas is (H * s, W * s, 3) float32 RGB in [0, 1] and (H * s, W * s) uint8 ids, with s
sub-pixels a side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.synthetic.materials import material_colours
from oaa_pl.data.synthetic.parts import Part
from oaa_pl.data.synthetic.shapes import Outline

__all__ = ["SUBPIXELS", "Canvas", "Pose"]

SUBPIXELS = 3
_LIGHT = (-0.5, -0.8)  # towards the light, x and y


@dataclass(frozen=True)
class Pose:
    """Position of an object: the map from its frame to canvas sub-pixels.

    Attributes:
        centre: the frame's origin, in sub-pixels (x, y).
        scale: sub-pixels per unit of the frame.
        angle: rotation in radians.
        flip: mirrored left to right.
    """

    centre: tuple[float, float]
    scale: float
    angle: float = 0.0
    flip: bool = False

    def matrix(self) -> NDArray[np.float64]:
        """The linear part of the map from the frame to the canvas, (2, 2)."""
        cos, sin = np.cos(self.angle) * self.scale, np.sin(self.angle) * self.scale
        side = -1.0 if self.flip else 1.0
        return np.asarray([[side * cos, -sin], [side * sin, cos]])

    def place(self, outline: Outline) -> Outline:
        """An outline of the frame in sub-pixels, (N, 2)."""
        placed: Outline = outline @ self.matrix().T + np.asarray(self.centre)
        return placed


class Canvas:
    """A picture, and the id of the topmost object at every sub-pixel.

    Args:
        background: picture to paint on, (H * s, W * s, 3) float32 in [0, 1]; changed in place.
    """

    def __init__(self, background: NDArray[np.float32]) -> None:
        self.colours = background
        self.ids = np.zeros(background.shape[:2], np.uint8)

    def paint(self, parts: Sequence[Part], pose: Pose, identity: int) -> None:
        """Paint an object's parts in order.

        Args:
            parts: the parts, the rear ones first.
            pose: position of the object.
            identity: value of `ids` under the parts; 0 for clutter.
        """
        inverse = np.linalg.inv(pose.matrix()).astype(np.float64, copy=False)
        for part in parts:
            self._paint_part(part, pose, inverse, identity)

    def _paint_part(
        self, part: Part, pose: Pose, inverse: NDArray[np.float64], identity: int
    ) -> None:
        corners = np.round(pose.place(part.outline)).astype(np.int32)
        height, width, _ = self.colours.shape
        left, top = np.maximum(corners.min(axis=0) - 2, 0)
        right = min(int(corners[:, 0].max()) + 3, width)
        bottom = min(int(corners[:, 1].max()) + 3, height)
        if left >= right or top >= bottom:
            return
        inside = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(inside, [corners - np.asarray([left, top], np.int32)], 1)
        rows, columns = inside.nonzero()
        if rows.size == 0:
            return
        local = (np.stack([columns + left, rows + top], axis=1) - pose.centre) @ inverse.T
        painted = material_colours(part.material, local[:, 0], local[:, 1])
        painted *= _shading(inside, part, pose.scale)[rows, columns, None]
        self.colours[rows + top, columns + left] = np.clip(painted, 0, 1)
        self.ids[rows + top, columns + left] = identity

    def photo(self) -> NDArray[np.uint8]:
        """The picture averaged down to pixels, (H, W, 3) RGB."""
        height, width = self._pixels()
        small = cv2.resize(self.colours, (width, height), interpolation=cv2.INTER_AREA)
        return np.round(np.asarray(small) * 255).astype(np.uint8)

    def mask(self, identities: int) -> NDArray[np.uint8]:
        """The id that covers most of each pixel, (H, W); ties go to the lower id.

        Args:
            identities: number of ids in use, including 0.
        """
        height, width = self._pixels()
        cells = self.ids.reshape(height, SUBPIXELS, width, SUBPIXELS)
        votes = np.stack([(cells == i).sum(axis=(1, 3)) for i in range(identities)])
        winner: NDArray[np.uint8] = votes.argmax(axis=0).astype(np.uint8)
        return winner

    def _pixels(self) -> tuple[int, int]:
        height, width, _ = self.colours.shape
        return height // SUBPIXELS, width // SUBPIXELS


def _shading(inside: NDArray[np.uint8], part: Part, scale: float) -> NDArray[np.float32]:
    """Brightness factors of a part: lit from the upper left, darker at its rim, (h, w)."""
    solid = inside.astype(np.float32)
    blur = max(0.12 * scale, 1.0)
    relief = cv2.GaussianBlur(solid, (0, 0), blur)
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3)
    lit = -(slope_x * _LIGHT[0] + slope_y * _LIGHT[1]) * blur
    factor = 1.0 - part.material.shine * 0.16 * np.clip(lit, -2, 2)
    if part.rim:
        core = cv2.erode(inside, np.ones((3, 3), np.uint8), iterations=2, borderValue=0)
        factor = np.where(core > 0, factor, factor * 0.62)
    return np.asarray(factor, dtype=np.float32)
