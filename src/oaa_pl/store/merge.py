"""Merge what several machines accumulated for the same data set.

A maximum of maxima and a sum of sums are the same in any order (`attention.fusion`), so the
outcome does not depend on how the work was shared out.
"""

from collections.abc import Sequence
from pathlib import Path

from oaa_pl.errors import StoreError
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader

__all__ = ["merge_stores"]


def merge_stores(into: Path, parts: Sequence[Path]) -> int:
    """Merge the newest generations of stores into a new store.

    A merge that was killed has committed nothing; it is simply done again.

    Args:
        into: folder of the new store.
        parts: folders of the stores, two or more, each named once.

    Returns:
        The number of the generation that was committed.

    Raises:
        StoreError: if a part is named twice or damaged, or `into` already holds maps.
        StoreMismatchError: if the parts are of different data sets, or of different rules.
    """
    if len(parts) < 2 or len({part.resolve() for part in parts}) < len(parts):
        names = ", ".join(map(str, parts))
        raise StoreError(f"parts must be two or more different stores, got {names or 'none'}")
    readers = [StoreReader(part) for part in parts]
    first = readers[0]
    for reader in readers[1:]:
        reader.pairs.require_same(first.pairs, reader.path)
        reader.header.require_same(first.header, reader.path)
    with MemmapStore(into, first.header, first.pairs) as store:
        if store.generations():
            raise StoreError(f"{into} already holds maps; merge into a new folder")
        for reader in readers:
            store.absorb(reader.state, reader.rows)
        return store.commit()
