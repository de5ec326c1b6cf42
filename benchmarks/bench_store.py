"""A store as large as full VOC's: updates against NumPy and PNGs, commits."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import Bench
from pngs import update_pngs, write_pngs

from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore

CLASSES, IMAGES, GRID = 20, 15_555, (32, 32)

pytestmark = pytest.mark.benchmark(timer=time.process_time)


class Update(NamedTuple):
    """An update of the store, and its maps."""

    store: MemmapStore
    which: np.ndarray
    maps: np.ndarray

    def __call__(self) -> None:
        self.store.fuse(self.which, 0 * self.which, self.maps)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemmapStore]:
    """An empty store of as many images as VOC has pairs, each with one class."""
    labels = np.zeros((IMAGES, CLASSES), bool)
    labels[:, 0] = True
    names = tuple(f"class-{c}" for c in range(CLASSES))
    pairs = Pairs(tuple(f"image-{n}" for n in range(IMAGES)), names, labels)
    header = Header(names, pairs.fingerprint, GRID, "maximum")
    with MemmapStore(tmp_path_factory.mktemp("store") / "s", header, pairs) as made:
        yield made


@pytest.fixture(scope="module", params=[64, 1024])
def update(request: pytest.FixtureRequest, store: MemmapStore) -> Update:
    """An update of so many maps."""
    rng = np.random.default_rng(0)
    which = rng.choice(IMAGES, request.param, replace=False)
    return Update(store, which, rng.random((request.param, *GRID)).astype(np.float32))


def test_maximum_of_1_byte_cells(bench: Bench, update: Update) -> None:
    cells = np.random.default_rng(1).integers(0, 255, update.maps.shape, np.uint8)
    over_an_update(
        bench, update, cells, "1-byte cells", ">= 0.5",
        "at most 0.38 can be reached: see [updates](#updates-of-a-store)",
    )  # fmt: skip


def test_maximum_of_the_states_bytes(bench: Bench, update: Update) -> None:
    cells = np.random.default_rng(1).integers(0, 255, (len(update.maps), 2, *GRID), np.uint8)
    how = "2 bytes a cell; at most 0.75 can be reached"
    over_an_update(bench, update, cells, "the state's bytes", ">= 0.5", how)


def test_maximum_of_float16(bench: Bench, update: Update) -> None:
    cells = update.maps.astype(np.float16)
    over_an_update(bench, update, cells, "float16", "", "what a loop in NumPy would pay")


def over_an_update(
    bench: Bench, update: Update, cells: np.ndarray, of: str, sought: str, how: str
) -> None:
    """NumPy's maximum of the cells of as many maps, in arrays of its own, over an update."""
    bench.ratio(
        f"{len(cells)} maps: NumPy's maximum of {of} over a store update", sought,
        partial(np.maximum, cells, cells.copy(), out=cells), update, how,
    )  # fmt: skip


def test_one_png_a_map(bench: Bench, update: Update, tmp_path: Path) -> None:
    files = write_pngs(tmp_path, update.maps)
    bench.ratio(
        f"{len(files)} maps: one PNG a map (decode, maximum, encode) over a store update", ">= 100",
        partial(update_pngs, files, update.maps), update, "as the authors' release keeps its maps",
    )  # fmt: skip


def test_commit_of_few_rows(bench: Bench, store: MemmapStore) -> None:
    def commit(rows: int) -> None:
        which = np.arange(rows)
        store.fuse(which, 0 * which, np.ones((rows, *GRID), np.float32))
        store.commit()

    bench.ratio(
        "commit: all rows changed over 1 % of them", "", partial(commit, IMAGES),
        partial(commit, IMAGES // 100), "15,555 rows, with the update of the same rows before it",
    )  # fmt: skip
