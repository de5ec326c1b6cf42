"""Checks of float32 maps by their bits, which order as the numbers do from 0 on."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["surely_attention"]

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
