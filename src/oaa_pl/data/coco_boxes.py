"""True boxes of COCO's objects, for scores of localisation.

Shapes: N boxes of one class, (x0, y0, x1, y1) in pixels, ends included; H x W pixels of a photo.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.coco_json import CocoObject
from oaa_pl.errors import BadTagFileError

__all__ = ["box_ends", "boxes_in", "outside"]

_ROUNDING = 1.0  # pixels by which a box may leave its image


def boxes_in(
    objects: Sequence[CocoObject], size: tuple[int, int], where: str
) -> dict[int, NDArray[np.int64]]:
    """The boxes of an image; those of crowd regions are left out.

    Args:
        objects: of the image.
        size: (H, W) of the image.
        where: the annotation file, for messages.

    Returns:
        Each class 0..C-1 that has boxes to its boxes, (N, 4).

    Raises:
        BadTagFileError: if a box leaves the image.
    """
    found: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    for fault in outside(objects, size, where):
        raise BadTagFileError(fault)
    for one in objects:
        if one.box is not None and not one.crowd:
            found[one.category].append(box_ends(one.box, size))
    return {category: np.array(boxes, np.int64) for category, boxes in found.items()}


def outside(objects: Sequence[CocoObject], size: tuple[int, int], where: str) -> Iterator[str]:
    """Boxes that leave their image by more than rounding, one line each. Arguments as above."""
    for one in objects:
        if one.box is None or one.crowd:
            continue
        x, y, across, down = one.box
        if min(x, y) < -_ROUNDING or (
            x + across > size[1] + _ROUNDING or y + down > size[0] + _ROUNDING
        ):
            yield (
                f"{where}: annotation {one.name}: the bbox {one.box} leaves its image of "
                f"{size[1]} x {size[0]} px: write x, y, width, height"
            )


def box_ends(box: Sequence[float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels that a box touches, (x0, y0, x1, y1), ends included, inside of the image.

    Args:
        box: x, y, width, height in pixels; its border is between pixels.
        size: (H, W) of its image.

    Examples:
        >>> box_ends([6, 4, 24, 10], (40, 48)), box_ends([2.5, 3.0, 0.2, 0.0], (40, 48))
        ((6, 4, 29, 13), (2, 3, 2, 3))
    """
    x, y, across, down = box
    x0, y0 = min(max(int(x), 0), size[1] - 1), min(max(int(y), 0), size[0] - 1)
    x1, y1 = math.ceil(x + across) - 1, math.ceil(y + down) - 1
    return x0, y0, min(max(x0, x1), size[1] - 1), min(max(y0, y1), size[0] - 1)
