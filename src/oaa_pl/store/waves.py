"""Waves of a batch: parts of it in which no row of the store comes twice.

NumPy's `state[rows] = values` keeps one value of a row that comes twice, where fusion needs both.

Shapes: K maps of a batch.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["waves"]


def waves(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64] | slice]:
    """Positions of each wave in the batch, in order: nearly always one wave of all of them.

    Args:
        rows: the row of each map, (K,).
    """
    ascending = np.sort(rows)
    if (ascending[1:] > ascending[:-1]).all():
        yield slice(None)
        return
    left = np.arange(len(rows))
    while len(left):
        _, first = np.unique(rows[left], return_index=True)
        yield left[np.sort(first)]
        left = np.delete(left, first)
