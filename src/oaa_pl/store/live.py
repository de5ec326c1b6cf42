"""The live maps of each process of a training, and how they come to the one that commits.

    <store>/live/rank-<r>.state         working maps, (R, planes, h, w); never read back
    <store>/live/rank-<r>.state.npy     the rows that changed since the last commit
    <store>/live/rank-<r>.rows.npy      their records

Shapes: R rows (present pairs), K changed rows, h x w cells of the grid.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oaa_pl.store.changes import save_changes
from oaa_pl.store.files import preallocate, save_array

__all__ = ["clear_live", "load_shard", "map_live", "save_shard"]


def map_live(
    store: Path, rank: int, shape: tuple[int, ...], dtype: np.dtype[np.generic]
) -> np.ndarray:
    """Map the working maps of a process: zeros, whose disk blocks exist.

    Args:
        store: the store's folder.
        rank: number of the process.
        shape: of the state, (R, planes, h, w).
        dtype: of the state.

    Raises:
        StoreError: if the disk is full or the folder cannot be written.
    """
    live = store / "live"
    live.mkdir(parents=True, exist_ok=True)
    file = live / f"rank-{rank}.state"
    preallocate(file, int(np.prod(shape)) * dtype.itemsize)
    if 0 in shape:  # an empty file cannot be mapped
        return np.zeros(shape, dtype)
    return np.memmap(file, dtype=dtype, mode="r+", shape=shape)


def save_shard(
    store: Path, rank: int, changed: NDArray[np.int64], state: np.ndarray, rows: np.ndarray
) -> None:
    """Pass on what a process has changed since the last commit.

    Args:
        store: the store's folder.
        rank: number of the process.
        changed: the rows, ascending, (K,).
        state: of all rows, (R, planes, h, w).
        rows: records of all rows, (R,).

    Raises:
        StoreError: if the disk is full or the folder cannot be written.
    """
    save_changes(_shard(store, rank, "state"), changed, state)
    save_array(_shard(store, rank, "rows"), rows[changed])


def load_shard(store: Path, rank: int) -> tuple[np.ndarray, np.ndarray, NDArray[np.int64]]:
    """What `save_shard` wrote: state (K, planes, h, w), records (K,) and rows (K,)."""
    changes = np.load(_shard(store, rank, "state"), mmap_mode="r", allow_pickle=False)
    rows = np.load(_shard(store, rank, "rows"), allow_pickle=False)
    return changes["state"], rows, np.array(changes["row"])


def clear_live(store: Path) -> None:
    """Remove the live maps of all processes; for the one writer, when it closes the store."""
    for file in (store / "live").iterdir():
        file.unlink()


def _shard(store: Path, rank: int, what: str) -> Path:
    return store / "live" / f"rank-{rank}.{what}.npy"
