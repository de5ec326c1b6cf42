"""True boxes of a data set, which only scores of localisation need.

Shapes: N boxes of one class; a box is (x0, y0, x1, y1) in pixels of the upright photo, ends
included.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.source import Source

__all__ = ["Boxed", "boxes_of"]


@runtime_checkable
class Boxed(Protocol):
    """A source that has boxes.

    Attributes:
        has_boxes: whether `boxes` can be called.
    """

    has_boxes: bool

    def boxes(self, index: int) -> dict[int, NDArray[np.int64]]:
        """The boxes of one image: class 0..C-1 to (N, 4), N 1 or more."""
        ...


def boxes_of(source: Source, index: int) -> dict[int, NDArray[np.int64]]:
    """The boxes of one image; none if the data set has no boxes.

    Args:
        source: any data set.
        index: in 0..N-1.

    Returns:
        Class 0..C-1 to its boxes, (N, 4).
    """
    if not isinstance(source, Boxed) or not source.has_boxes:
        return {}
    return source.boxes(index)
