"""A generation that rests on an older one: a commit costs what changed, not the whole store.

    <store>/generations/000007/state.npy             the state of every row
    <store>/generations/000009/state.npy             the same file: a hard link
    <store>/generations/000009/changes-000008.npy    rows that generation 8 changed: a hard link
    <store>/generations/000009/changes-000009.npy    rows that generation 9 changed
    <store>/generations/000009/rows.npy, seal.json   as in every generation

Each generation has all that it needs in its own folder, so any of the others may be dropped. A copy
of the folder without hard links is as good, and larger.

What a reader has to put together stays bounded: a new file of changes replaces those before it
that are not more than twice as large, and where more than a quarter of all rows would be in such
files, the state is written as a whole. So over many commits a changed row is written about
log2(R) + 4 times at the most, and a commit writes 13 bytes of each other row: its record.

Shapes: R rows (present pairs), K changed rows, h x w cells of the grid.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import StoreError
from oaa_pl.files.atomic import write_whole
from oaa_pl.store.files import blocks, write_text
from oaa_pl.store.layout import Header
from oaa_pl.store.pairs import CHANGES
from oaa_pl.store.seal import DAMAGE, change_files, read_seal

__all__ = ["Since", "change_type", "linked", "save_changes"]

SMALLEST = 1 << 24
"""Bytes of the smallest state that is not written as a whole: below, that takes no time."""

_LARGEST_PART = 4  # at most one in so many rows is in files of changes

Rows = NDArray[np.int64]


class Since(NamedTuple):
    """What a store has changed since a generation.

    Attributes:
        generation: its number.
        rows: that may differ from it, ascending, (K,).
    """

    generation: int
    rows: Rows


def change_type(dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> np.dtype[np.void]:
    """The record of a changed row: its place among the rows, and its state.

    Args:
        dtype: of the state.
        shape: of the state, (R, planes, h, w).
    """
    return np.dtype([("row", "<i8"), ("state", dtype, shape[1:])])


def save_changes(path: Path, at: Rows, state: np.ndarray) -> None:
    """Write rows as a `.npy` file of `change_type` records.

    Args:
        path: the file.
        at: the rows, (K,).
        state: of all rows, (R, planes, h, w).

    Raises:
        StoreError: if the disk is full or the folder cannot be written.
    """
    kind = change_type(state.dtype, state.shape)
    described = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False}

    def write(file: BinaryIO) -> None:
        np.lib.format.write_array_header_1_0(file, {**described, "shape": at.shape})
        for part in blocks(len(at), kind.itemsize):
            records = np.empty(part.stop - part.start, kind)
            records["row"], records["state"] = at[part], state[at[part]]
            file.write(records.tobytes())

    write_whole(path, write, durable=True, error=StoreError)


def linked(
    older: Path, newer: Path, changed: Rows, state: np.ndarray
) -> tuple[dict[str, dict[str, int]], Rows] | None:
    """Link what stays of an older generation into the folder of a newer one.

    Args:
        older: folder of a generation.
        newer: folder that is being filled.
        changed: rows that may differ from the older generation, ascending, (K,).
        state: of all rows, (R, planes, h, w).

    Returns:
        The seals of the linked files, and the rows that the newer generation must have in a file of
        its own, ascending. None if its state must be written as a whole.
    """
    most = len(state) // _LARGEST_PART
    if state.nbytes < SMALLEST or len(changed) > most:
        return None
    try:
        seal = read_seal(older)
        layers = {name: _rows_in(older / name) for name in change_files(seal)}
        while layers and len(changed) and len(layers[list(layers)[-1]]) <= 2 * len(changed):
            changed = np.union1d(layers.popitem()[1], changed)
        if sum(map(len, layers.values())) + len(changed) > most:
            return None
        kept = ["state.npy", *layers]
        for name in kept:
            os.link(older / name, newer / name)
        _announce(older.parent.parent)
    except StoreError:
        raise
    except DAMAGE:  # the file system knows no links, or the older generation is damaged
        for name in ("state.npy", *change_files(one.name for one in newer.iterdir())):
            (newer / name).unlink(missing_ok=True)
        return None
    return {name: seal[name] for name in kept}, changed


def _rows_in(path: Path) -> Rows:
    rows: Rows = np.array(np.load(path, mmap_mode="r", allow_pickle=False)["row"])
    return rows


def _announce(store: Path) -> None:
    """Let older versions of this package refuse the store: they would read the linked state alone.

    Raises:
        StoreError: if the header cannot be read or written.
    """
    path = store / "header.json"
    header = Header.parse(path.read_bytes().decode(), path)
    if header.version <= CHANGES:
        write_text(path, replace(header, version=header.version + CHANGES).dump())
