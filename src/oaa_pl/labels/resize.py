"""Bring attention maps from the store's grid to the photo, the same way wherever it is needed.

Shapes: K maps of h x w cells; H x W pixels of the photo.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["to_photo"]


def to_photo(attention: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Bilinear interpolation of whole-image maps to the photo's pixels.

    Args:
        attention: maps in [0, 1], (K, h, w).
        size: pixels (H, W) of the photo.

    Returns:
        Maps in [0, 1], (K, H, W); edges are aligned, as in `attention.view`.
    """
    height, width = size
    if not len(attention):
        return np.zeros((0, height, width), np.float32)
    return np.stack(
        [cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in attention]
    ).astype(np.float32, copy=False)
