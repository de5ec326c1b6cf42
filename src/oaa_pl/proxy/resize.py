"""Resize attention maps from the store's grid to the photo. All stages use this.

Shapes: K maps of h x w cells; H x W pixels of the photo.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["each_to_photo", "to_photo"]


def to_photo(attention: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Bilinear interpolation of whole-image maps to the photo's pixels.

    Args:
        attention: maps in [0, 1], (K, h, w).
        size: pixels (H, W) of the photo.

    Returns:
        Maps in [0, 1], (K, H, W); edges are aligned, as in `attention.view`.
    """
    if not len(attention):
        return np.zeros((0, *size), np.float32)
    return np.stack(list(each_to_photo(attention, size)))


def each_to_photo(
    attention: NDArray[np.float32], size: tuple[int, int]
) -> Iterator[NDArray[np.float32]]:
    """Like `to_photo`, one map after another: at 48 megapixels each map needs 192 MB.

    Args:
        attention: maps in [0, 1], (K, h, w).
        size: pixels (H, W) of the photo.

    Yields:
        Each map in [0, 1], (H, W).
    """
    height, width = size
    for one in attention:
        yield cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR).astype(
            np.float32, copy=False
        )
