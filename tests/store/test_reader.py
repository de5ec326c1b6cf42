"""Reading a store."""

from pathlib import Path

import pytest
from tests.store.contract import PAIRS, batch, header_of, random_maps

from oaa_pl.errors import StoreError
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader


def test_pairs_without_a_map_are_counted_and_named(tmp_path: Path) -> None:
    with MemmapStore(tmp_path, header_of(), PAIRS) as store:
        store.fuse(*batch((2, 0)), random_maps(1))
        store.fill(*batch((0, 1)), random_maps(1))
        store.commit()
        with pytest.raises(StoreError, match=r"4 of 6 .* no map: c cow, d cat, d dog, d cow; let"):
            StoreReader(tmp_path).require_complete()
        store.fill(*batch((2, 2), (3, 0), (3, 1), (3, 2)), random_maps(4))
        store.commit()
    StoreReader(tmp_path).require_complete()
