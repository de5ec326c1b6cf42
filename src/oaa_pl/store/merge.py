"""Merge what several machines accumulated for the same data set.

A maximum of maxima and a sum of sums are the same in any order (`attention.fusion`), so the
outcome does not depend on how the work was shared out. A fusion whose maps count by their order
merges only stores of different pairs.
"""

from collections.abc import Sequence
from pathlib import Path

from oaa_pl.errors import StoreError, StoreMismatchError
from oaa_pl.store.fresh import new_store
from oaa_pl.store.reader import StoreReader

__all__ = ["merge_stores"]


def merge_stores(into: Path, parts: Sequence[Path]) -> None:
    """Merge the newest generations of stores into a new store of one generation.

    A pair that was accepted anywhere keeps what was accepted of it; where all that the parts have
    are fallbacks, these are fused.

    Args:
        into: folder of the new store; absent or empty.
        parts: folders of the stores, two or more, each named once.

    Raises:
        StoreError: if a part is named twice or damaged, `into` holds anything, or two parts hold
            maps of one pair whose order matters and is not known.
        StoreMismatchError: if the parts are of different data sets, or of different rules.
    """
    if len(parts) < 2 or len({part.resolve() for part in parts}) < len(parts):
        names = ", ".join(map(str, parts))
        raise StoreError(f"parts must be two or more different stores, got {names or 'none'}")
    first = StoreReader(parts[0])
    others = [StoreReader(part, known=first.pairs) for part in parts[1:]]
    for other in others:
        try:
            other.pairs.require_same(first.pairs, other.path)
            other.header.require_same(first.header, other.path)
        except StoreMismatchError as error:
            raise StoreMismatchError(
                f"{first.path} and {other.path} cannot be merged: {error}"
            ) from error
    with new_store(into, first.header, first.pairs) as store:
        for reader in (first, *others):
            store.absorb(reader.state, reader.rows)
