"""A store on other file systems than a disk: in memory, and copied through an object store."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from oaa_pl.errors import InUseError
from oaa_pl.store import changes
from oaa_pl.store.damage import examine
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader

ROWS = 12
PAIRS = Pairs(tuple(f"image-{n}" for n in range(ROWS)), ("cat",), np.ones((ROWS, 1), bool))
HEADER = Header(PAIRS.classes, PAIRS.fingerprint, (4, 5), "maximum")
TMPFS = Path("/dev/shm")


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder on a tmpfs."""
    if not TMPFS.is_dir():
        pytest.skip(f"{TMPFS} does not exist: this system has no tmpfs")
    with tempfile.TemporaryDirectory(dir=TMPFS) as folder:
        yield Path(folder)


def make(path: Path) -> np.ndarray:
    """A store of two generations, the second of changes alone; its maps."""
    maps = np.random.default_rng(0).random((ROWS, 4, 5), np.float32)
    with MemmapStore(path, HEADER, PAIRS) as store:
        for rows in (np.arange(ROWS), np.arange(2)):
            store.fuse(rows, np.zeros(len(rows), np.int64), maps[rows], epoch=0)
            store.commit()
    return StoreReader(path).state.copy()


@pytest.fixture(autouse=True)
def small_stores_have_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "SMALLEST", 0)


def test_a_store_on_a_tmpfs_commits_links_locks_and_is_sound(
    in_memory: Path, tmp_path: Path
) -> None:
    state = make(in_memory / "store")
    assert np.array_equal(make(tmp_path / "store"), state)
    reader = StoreReader(in_memory / "store")
    assert reader.generations() == [1, 2]
    for generation in (1, 2):
        assert not examine(in_memory / "store", generation, HEADER, ROWS).problems
    linked = [path for path in (in_memory / "store").rglob("*") if path.stat().st_nlink == 2]
    assert any(path.is_file() for path in linked)
    with (
        MemmapStore(in_memory / "store", HEADER, PAIRS, overwrite=True),
        pytest.raises(InUseError, match="this very process"),
    ):
        MemmapStore(in_memory / "store", HEADER, PAIRS, overwrite=True)


def test_a_store_copied_through_an_object_store_has_the_same_maps(tmp_path: Path) -> None:
    """An object store keeps names and bytes of files; no links, and no empty folders."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: torch brings it")
    state = make(tmp_path / "store")
    objects = fsspec.filesystem("memory")
    objects.put(str(tmp_path / "store"), "/bucket/store", recursive=True)
    objects.get("/bucket/store", str(tmp_path / "back"), recursive=True)
    objects.rm("/bucket", recursive=True)
    reader = StoreReader(tmp_path / "back")
    assert reader.generations() == [1, 2]
    assert np.array_equal(reader.state, state)
    for generation in (1, 2):
        assert not examine(tmp_path / "back", generation, HEADER, ROWS).problems
    # It can be written again.
    with MemmapStore(tmp_path / "back", HEADER, PAIRS, resume=True) as store:
        store.fuse(np.array([3]), np.array([0]), np.ones((1, 4, 5), np.float32), epoch=1)
        assert store.commit() == 3
