"""Checks of maps: float32 by their bits, which order as the numbers do from 0 on."""

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import StoreError

__all__ = ["require_attention", "surely_attention"]

_BITS_OF_1 = np.float32(1).view(np.uint32)


def surely_attention(maps: NDArray[np.floating]) -> bool:
    """Whether all values are in [0, 1], in one pass; false also where it cannot tell.

    Args:
        maps: of any shape, with at least one value. It cannot tell of -0 and of other types than
            float32.
    """
    if maps.dtype != np.float32:
        return False
    # The bits of numbers from 0 to 1 are the smallest; those of NaN and below 0 are the largest.
    return bool(maps.view(np.uint32).max() <= _BITS_OF_1)


def require_attention(maps: NDArray[np.floating], expected: tuple[int, ...]) -> None:
    """Refuse what is not attention.

    Args:
        maps: of any shape.
        expected: the shape that they must have, (K, h, w).

    Raises:
        StoreError: if they have another shape, or a value is not in [0, 1].
    """
    if maps.shape != expected:
        raise StoreError(f"attention must be {expected} (K, h, w), got {maps.shape}")
    if maps.size and not surely_attention(maps):
        low, high = maps.min(), maps.max()
        # Written so that NaN fails it too.
        if not (low >= 0 and high <= 1):
            raise StoreError(f"attention must be in [0, 1], got {low} to {high}")
