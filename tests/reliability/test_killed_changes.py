"""SIGKILL inside a commit of changes: each generation that is there is whole and the right one.

Such commits write the rows that changed, and link what stays of an older generation.
"""

from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.callbacks.test_resume import files
from tests.reliability.test_kills import (
    COMMIT,
    GENERATION,
    MEMMAP,
    MOST,
    Tally,
    drawn_call,
    live,
    server,
)

from oaa_pl.store import changes
from oaa_pl.store.generation import committed
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader

__all__ = ["server"]  # a fixture of every test here

pytestmark = pytest.mark.reliability

IMAGES, GRID, COMMITS = 60, (8, 8), 8
# How often each is called while such a store is filled.
CALLS = {
    **{target: 2 * calls for target, calls in COMMIT.items()},
    GENERATION + "linked": COMMITS - 1,
    GENERATION + "save_changes": COMMITS - 1,
    GENERATION + "seal_rows": COMMITS,
    MEMMAP + "MemmapStore.fuse": COMMITS,
    "os.link": 2 * COMMITS,
    "oaa_pl.store.changes.read_seal": COMMITS - 1,
    "oaa_pl.store.changes._announce": COMMITS - 1,
}


def fill(folder: Path, keep: int = 2) -> None:
    """Commit until there are enough generations; generation n has the maps of the first n steps."""
    changes.SMALLEST = 0  # or so small a store would be written as a whole
    labels = np.ones((IMAGES, 2), bool)
    pairs = Pairs(tuple(f"image-{n}" for n in range(IMAGES)), ("cat", "dog"), labels)
    header = Header(pairs.classes, pairs.fingerprint, GRID, "maximum")
    with MemmapStore(folder, header, pairs, keep=keep, resume=True) as store:
        for step in range(store.opened_at, COMMITS):
            random = np.random.default_rng([23, step])
            rows = random.choice(len(pairs.pairs), size=random.integers(1, 12), replace=False)
            index, category = pairs.pairs[np.sort(rows)].T
            maps = random.random((len(index), *GRID), dtype=np.float32)
            store.fuse(index, category, maps, epoch=step)
            store.commit()


def test_a_killed_commit_of_changes_costs_no_generation(tmp_path: Path, tally: Tally) -> None:
    ends, every = tmp_path / "ends", tmp_path / "every"
    live(ends, partial(fill, ends))
    seconds = live(every, partial(fill, every, COMMITS)).seconds
    assert committed(every) == list(range(1, COMMITS + 1))
    assert len(list(every.rglob("changes-*.npy"))) >= COMMITS
    struck = Counter[str]()
    for number in range(MOST):
        run, random = tmp_path / str(number), np.random.default_rng([29, number])
        for _ in range(random.integers(1, 4)):
            arm, delay = drawn_call(CALLS, random), None
            if random.random() < 0.3:
                arm, delay = None, float(random.uniform(0, seconds))
            if not live(run, partial(fill, run), arm, delay).killed:
                break
            half = any(run.glob("generations/*.partial"))
            struck["half a generation" if half else "nothing half done"] += 1
            for generation in committed(run):
                mine, true = StoreReader(run, generation), StoreReader(every, generation)
                np.testing.assert_array_equal(mine.state, true.state)
                np.testing.assert_array_equal(mine.rows, true.rows)
        live(run, partial(fill, run))
        # A kill after the last commit may leave an older generation, which the next would drop.
        older = {f"generations/{one:06d}/" for one in committed(run)[:-2]}
        left = {name: one for name, one in files(run).items() if name[:19] not in older}
        assert left == files(ends), f"run {number}"
    tally("SIGKILLs survived", struck.total())
    tally("SIGKILLs survived in commits of changes", struck.total())
    assert struck["half a generation"] >= 20
    assert struck["nothing half done"] >= 20
