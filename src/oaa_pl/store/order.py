"""Which of two shards came later, for fusion rules that depend on the order of the maps."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import StoreError
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_NONE

if TYPE_CHECKING:
    from oaa_pl.store.base import MapStore

__all__ = ["require_later"]


def require_later(
    store: "MapStore",
    rows: np.ndarray,
    at: NDArray[np.int64],
    earlier: NDArray[np.uint32] | None,
) -> None:
    """Refuse to merge another shard's rows where it is not known which side came later.

    Args:
        store: that the other shard is merged into.
        rows: the other shard's `layout.ROW` records, (K,).
        at: the rows of the store that they belong to, (K,).
        earlier: how many updates of each of these rows came before all those of the other shard,
            (K,); None: not known.

    Raises:
        StoreError: if both have maps of a pair, and neither is known to be the later one.
    """
    mine, theirs, updates = store.rows["origin"][at], rows["origin"], store.rows["updates"][at]
    known = np.zeros(len(rows), bool) if earlier is None else updates == earlier
    both = (mine == theirs) & (mine != ORIGIN_NONE)
    unknown = both & ~(known & (mine == ORIGIN_ACCEPTED))
    if unknown.any():
        image, category = store.pairs.pairs[int(at[unknown][0])]
        raise StoreError(
            f"fusion {store.header.fusion} depends on the order of the maps, and for "
            f"{int(unknown.sum())} pairs, first {store.pairs.ids[image]!r} "
            f"{store.pairs.classes[category]!r}, it is not known which of two shards came "
            "later; let one process see each image once per epoch, or use another fusion"
        )
