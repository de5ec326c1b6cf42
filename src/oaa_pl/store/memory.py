"""An accumulation store in memory: for tests, notebooks and data sets that fit."""

from dataclasses import replace

import numpy as np
from typing_extensions import override

from oaa_pl.errors import StoreError
from oaa_pl.store.base import MapStore
from oaa_pl.store.layout import ROW, Header, Pairs

__all__ = ["MemoryStore"]


class MemoryStore(MapStore):
    """Cumulative maps in memory; generations are copies.

    Args:
        header: what the maps mean.
        pairs: the present (image, class) pairs.
    """

    def __init__(self, header: Header, pairs: Pairs) -> None:
        self.header, self.pairs = replace(header, version=pairs.version), pairs
        count = pairs.count
        self._hold(np.zeros(header.state_shape(count), header.rule.dtype), np.zeros(count, ROW))
        self._committed: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    @override
    def commit(self) -> int:
        generation = max(self._committed, default=0) + 1
        self._committed[generation] = self.state.copy(), self.rows.copy()
        return generation

    @override
    def roll_back(self, generation: int) -> None:
        if generation == 0:
            self._state[:], self._rows[:] = 0, 0
        elif generation in self._committed:
            self.replace(*self._committed[generation])
        else:
            raise StoreError(
                f"there is no generation {generation}; committed are {self.generations()}"
            )
        self._committed = {g: kept for g, kept in self._committed.items() if g <= generation}

    @override
    def generations(self) -> list[int]:
        return sorted(self._committed)
