"""Check that a true mask shows the classes that its photo is tagged with.

Shapes: masks (H, W) uint8: 0 background, c + 1 class c, 255 ignored; C foreground classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import BadMaskError
from oaa_pl.ids import IGNORED

__all__ = ["Shown", "check_tagged", "shown_classes", "unlike_masks"]

_BORDER = 0.05  # of the short side: a larger radius is not a thin border
_LEAST_RADIUS = 3.0  # pixels: the same for small photos
_MANY = 0.1  # warn if a larger share of masks does not show the tags
_SPECK = 2.0  # pixels: a patch of a smaller radius may be a stray line


class Shown(NamedTuple):
    """The classes of a mask and of its photo's tags.

    Attributes:
        name: the photo's id.
        tagged: classes of the tags, 0..C-1.
        shown: classes with at least one pixel in the mask.
    """

    name: str
    tagged: set[int]
    shown: set[int]


def unlike_masks(where: str, classes: Sequence[str], masks: Sequence[Shown]) -> str | None:
    """A warning if many masks do not show what their photos are tagged with; else None.

    Args:
        where: name of the data set.
        classes: names of the C foreground classes.
        masks: the masks that were read.
    """
    unlike = [mask for mask in masks if not mask.tagged <= mask.shown]
    if len(unlike) <= _MANY * len(masks):
        return None

    def named(found: set[int]) -> str:
        return ", ".join(classes[c] for c in sorted(found)) or "nothing"

    first = unlike[0]
    ids = ", ".join(f"{c + 1} = {name}" for c, name in enumerate(classes))
    return (
        f"{where}: {len(unlike)} of {len(masks)} masks do not show all that their photo is tagged "
        f"with ({first.name}: tagged {named(first.tagged)}, its mask shows {named(first.shown)}): "
        f"make the masks with the ids {ids}, or correct the tags"
    )


def shown_classes(mask: NDArray[np.uint8]) -> set[int]:
    """The classes, 0..C-1, with at least one pixel in a mask (H, W)."""
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    return {int(i) - 1 for i in present if 0 < i < IGNORED}


def check_tagged(
    mask: NDArray[np.uint8],
    path: Path,
    classes: Sequence[str],
    tags: NDArray[np.uint8],
    some_hidden: bool = False,
) -> None:
    """Refuse a mask that paints objects without their ids: as 255, or all as id 1.

    This happens with black and white masks. Without the check they would be scored: with 255 the
    object does not count, with 1 it is the first class. Thin borders of 255, as in VOC, are fine.

    Args:
        mask: class ids, (H, W).
        path: the mask's file, for the message.
        classes: names of the C foreground classes.
        tags: of the photo, in {0, 1}, (C,).
        some_hidden: whether tagged objects may be 255, as VOC's objects that are hard to see. Then
            only a mask without any class is refused.

    Raises:
        BadMaskError: if a tagged class has no pixel and 255 covers more than a border, or if the
            mask has only id 1 and the photo is not tagged with the first class.
    """
    shown = shown_classes(mask)
    bare = [int(c) for c in np.flatnonzero(tags) if int(c) not in shown]
    if not bare:
        return
    names = ", ".join(f"{classes[c]} = {c + 1}" for c in bare)
    if not (some_hidden and shown) and _covers_an_area(mask):
        raise BadMaskError(
            f"{path} has no pixel of what its photo is tagged with ({names}), and {IGNORED} covers "
            f"an area, not a border: paint objects with their ids; {IGNORED} is for pixels that "
            "shall not count"
        )
    if shown == {0} and not tags[0]:
        raise BadMaskError(
            f"{path} paints objects with the id 1, which is {classes[0]!r}, but its photo is "
            f"tagged otherwise: paint them with their ids ({names}), or correct the tags"
        )


def _covers_an_area(mask: NDArray[np.uint8]) -> bool:
    """Whether 255 is more than a border: thick, or a patch that does not touch any class."""
    void = np.pad((mask == IGNORED).astype(np.uint8), 1)  # a patch ends at the photo's border
    if not void.any():
        return False
    radius = cv2.distanceTransform(void, cv2.DIST_L2, 3)[1:-1, 1:-1]
    if radius.max() > max(_LEAST_RADIUS, _BORDER * min(mask.shape)):
        return True
    classes = ((mask > 0) & (mask < IGNORED)).astype(np.uint8)
    beside = cv2.dilate(classes, np.ones((3, 3), np.uint8)) > 0
    count, patches = cv2.connectedComponents(void[1:-1, 1:-1], connectivity=8)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, patches.ravel().astype(np.intp), radius.ravel())
    touching = np.unique(patches[beside & (patches > 0)])
    deepest[0], deepest[touching] = 0, 0
    return bool(deepest.max() > _SPECK)
