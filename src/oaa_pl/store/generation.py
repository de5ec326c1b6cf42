"""One committed generation on disk: write it whole, open it only if it is what was written.

    <store>/generations/000007/state.npy   what the fusion rule keeps, (R, planes, h, w)
    <store>/generations/000007/rows.npy    a `layout.ROW` record per row, (R,)
    <store>/generations/000007/seal.json   sizes and checksums of the two

The folder is filled under another name and renamed, so that it exists whole or not at all.
"""

import json
import shutil
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import StoreError
from oaa_pl.store.files import checksum, save_array, sync_folder, write_text
from oaa_pl.store.layout import ROW, Header

__all__ = [
    "DAMAGE",
    "FILES",
    "committed",
    "drop",
    "folder_of",
    "open_generation",
    "row_checksums",
    "seal_of",
    "seal_rows",
    "sweep",
    "write_generation",
]

FILES = ("state.npy", "rows.npy")

# All that a damaged seal or array file makes json and numpy raise.
DAMAGE = (
    OSError, ValueError, KeyError, TypeError, EOFError, OverflowError, MemoryError, RecursionError,
)  # fmt: skip


def folder_of(store: Path, generation: int) -> Path:
    """Where a generation lies."""
    return store / "generations" / f"{generation:06d}"


def committed(store: Path) -> list[int]:
    """Numbers of the generations that were renamed into place, ascending."""
    names = (entry.name for entry in (store / "generations").glob("*") if entry.is_dir())
    return sorted(int(name) for name in names if name.isdecimal())


def drop(store: Path, generation: int) -> None:
    """Delete a generation; renamed first, so that a crash cannot leave half of one."""
    doomed = folder_of(store, generation).with_suffix(".dropped")
    shutil.rmtree(doomed, ignore_errors=True)
    folder_of(store, generation).rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def sweep(store: Path) -> None:
    """Delete what a killed writer left half made or half dropped; for the one writer alone."""
    for file in store.glob(".*.partial"):
        file.unlink()
    for ending in ("partial", "dropped"):
        for folder in (store / "generations").glob(f"*.{ending}"):
            shutil.rmtree(folder, ignore_errors=True)


def row_checksums(state: np.ndarray, rows: np.ndarray) -> NDArray[np.uint32]:
    """CRC-32 of each row's state and of its record up to the checksum: (R,)."""
    known = ROW.fields["checksum"][1] if ROW.fields else 0
    checksums = (
        zlib.crc32(record.tobytes()[:known], zlib.crc32(row.tobytes()))
        for row, record in zip(state, rows, strict=True)
    )
    return np.fromiter(checksums, np.uint32, len(rows))


def seal_rows(state: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows' records with their checksums: (R,)."""
    sealed = rows.copy()
    sealed["checksum"] = row_checksums(state, rows)
    return sealed


def seal_of(store: Path, generation: int) -> str:
    """What tells a generation from any other: the checksum of its seal, eight hexadecimal digits.

    Raises:
        StoreError: if there is no such generation.
    """
    try:
        return f"{checksum(folder_of(store, generation) / 'seal.json'):08x}"
    except OSError as error:
        raise StoreError(
            f"{store} has no generation {generation}; it has {committed(store)}"
        ) from error


def write_generation(store: Path, generation: int, state: np.ndarray, rows: np.ndarray) -> None:
    """Commit a state: (R, planes, h, w) and the rows' records (R,).

    Raises:
        StoreError: if the disk is full or the folder cannot be written; nothing is committed.
    """
    final = folder_of(store, generation)
    partial = final.with_suffix(".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_array(partial / "state.npy", state)
        save_array(partial / "rows.npy", seal_rows(state, rows))
        seal = {
            name: {"bytes": (partial / name).stat().st_size, "crc32": checksum(partial / name)}
            for name in FILES
        }
        write_text(partial / "seal.json", json.dumps(seal, indent=1) + "\n")
        sync_folder(partial)
        partial.rename(final)
        sync_folder(final.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{final} cannot be written ({error.strerror or error})") from error


def open_generation(
    store: Path, generation: int, header: Header, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Map a committed generation read-only, after checking every byte of it.

    Args:
        store: the store's folder.
        generation: a committed generation's number.
        header: what the maps mean.
        count: rows R that the store must have.

    Returns:
        State (R, planes, h, w), memory-mapped, and the rows' records (R,).

    Raises:
        StoreError: if it does not exist, or a file is short, long, damaged or of another shape.
    """
    folder = folder_of(store, generation)
    if not folder.is_dir():
        raise StoreError(f"{store} has no generation {generation}; it has {committed(store)}")
    try:
        seal = json.loads((folder / "seal.json").read_text())
        for name in FILES:
            size, expected = (folder / name).stat().st_size, seal[name]["bytes"]
            if size != expected:
                raise StoreError(
                    f"{folder / name} has {size} bytes, was sealed with {expected}; restore it or "
                    "roll back to an older generation"
                )
            if checksum(folder / name) != seal[name]["crc32"]:
                raise StoreError(
                    f"{folder / name} is damaged: its checksum is not the sealed one; restore it "
                    "or roll back to an older generation"
                )
        state = np.load(folder / "state.npy", mmap_mode="r", allow_pickle=False)
        rows = np.load(folder / "rows.npy", allow_pickle=False)
    except StoreError:
        raise
    except DAMAGE as error:
        raise StoreError(f"{folder} is damaged: {error!r}; restore it") from error
    shape, rule = header.state_shape(count), header.rule
    if state.shape != shape or state.dtype != rule.dtype:
        raise StoreError(
            f"{folder / 'state.npy'} holds {state.dtype}{state.shape}, expected {rule.dtype}{shape}"
        )
    if rows.shape != (count,) or rows.dtype != ROW:
        raise StoreError(f"{folder / 'rows.npy'} does not hold {count} row records; restore it")
    return state, rows
