"""A large mapped array is read at random, but for passes over all of it; its values stay."""

import mmap
from pathlib import Path

import numpy as np
import pytest
from tests.store.contract import PAIRS, batch, header_of, random_maps

from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.pages import at_random, in_order
from oaa_pl.store.reader import StoreReader

ALL = batch(*PAIRS.pairs.tolist())


class Advised(mmap.mmap):
    """A mapping that knows what the system was told about it."""

    told: list[int]

    def madvise(self, option: int, *place: int) -> None:
        """Note the advice, and pass it on."""
        self.told = [*getattr(self, "told", []), option]
        super().madvise(option, *place)


@pytest.fixture
def pages(tmp_path: Path) -> Advised:
    (tmp_path / "file").write_bytes(bytes(4096))
    with (tmp_path / "file").open("r+b") as file:
        return Advised(file.fileno(), 4096)


def test_a_pass_in_order_ends_at_random_also_after_an_error(
    pages: Advised, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oaa_pl.store.pages._LARGE", 4096)
    array = np.ndarray((2, 1024), np.float16, pages)[:, None].view(np.int16)
    at_random(array)

    def fail() -> None:
        with in_order(array):
            assert pages.told == [mmap.MADV_RANDOM, mmap.MADV_NORMAL]
            raise ZeroDivisionError("zero")

    with pytest.raises(ZeroDivisionError, match="zero"):
        fail()
    assert pages.told == [mmap.MADV_RANDOM, mmap.MADV_NORMAL, mmap.MADV_RANDOM]


def test_a_small_array_and_one_without_a_file_are_left_alone(pages: Advised) -> None:
    for array in (np.ndarray(2048, np.float16, pages), np.zeros(8), np.zeros(0)):
        at_random(array)
        with in_order(array):
            pass
    assert not hasattr(pages, "told")


def test_the_maps_of_a_large_store_are_read_at_random(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oaa_pl.store.pages._LARGE", 1)
    told: list[int] = []

    class Watched(mmap.mmap):
        def madvise(self, option: int, *place: int) -> None:
            told.append(option)
            super().madvise(option, *place)

    monkeypatch.setattr("mmap.mmap", Watched)
    with MemmapStore(tmp_path, header_of(), PAIRS) as store:
        assert told == [mmap.MADV_RANDOM]
        store.commit()
        assert told == [mmap.MADV_RANDOM, mmap.MADV_NORMAL, mmap.MADV_RANDOM]


def test_a_large_store_holds_what_a_small_one_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = random_maps(len(PAIRS.pairs))
    found = []
    for name, large in (("small", 1 << 28), ("large", 1)):
        monkeypatch.setattr("oaa_pl.store.pages._LARGE", large)
        with MemmapStore(tmp_path / name, header_of(), PAIRS) as store:
            store.fuse(*ALL, maps)
            store.commit()
            store.fuse(*ALL, 1 - maps)
            store.roll_back(1)
            store.absorb(store.state.copy(), store.rows.copy())
            store.commit()
        found.append(StoreReader(tmp_path / name))
    assert found[0].state.tobytes() == found[1].state.tobytes()
    assert found[0].rows.tobytes() == found[1].rows.tobytes()
