"""One committed generation on disk: write it whole, open it only if it is what was written.

    <store>/generations/000007/state.npy   what the fusion rule keeps, (R, planes, h, w)
    <store>/generations/000007/rows.npy    a `layout.ROW` record per row, (R,)
    <store>/generations/000007/seal.json   sizes and checksums of the two

The folder is filled under another name and renamed, so that it exists whole or not at all. A large
store's generation may rest on an older one: see `store.changes`.
"""

import os
import shutil
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from oaa_pl.errors import StoreError
from oaa_pl.store.changes import Since, change_type, linked, save_changes
from oaa_pl.store.files import checksum, save_array, sync_folder, write_text
from oaa_pl.store.layout import ROW, Header
from oaa_pl.store.seal import DAMAGE, change_files, read_seal, seal_rows, seal_text

__all__ = [
    "committed",
    "drop",
    "folder_of",
    "mapped",
    "open_generation",
    "seal_of",
    "sweep",
    "write_generation",
]


def folder_of(store: Path, generation: int) -> Path:
    """The folder of a generation."""
    return store / "generations" / f"{generation:06d}"


def committed(store: Path) -> list[int]:
    """Numbers of the generations that were renamed into place, ascending."""
    # By one look: who lists names and then asks about each may be overtaken by a writer that drops
    # them all, and take a store of many generations for one of none.
    try:
        with os.scandir(store / "generations") as entries:
            return sorted(int(one.name) for one in entries if one.name.isdecimal() and one.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


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


def seal_of(store: Path, generation: int) -> str:
    """What tells a generation from any other: the checksum of its seal, eight hexadecimal digits.

    Raises:
        StoreError: if there is no such generation, or its seal cannot be read.
    """
    try:
        return f"{checksum(folder_of(store, generation) / 'seal.json'):08x}"
    except OSError as error:
        raise StoreError(
            f"{store} has no sealed generation {generation}; it has {committed(store)}"
        ) from error


def write_generation(
    store: Path, generation: int, state: np.ndarray, rows: np.ndarray, since: Since | None = None
) -> np.ndarray:
    """Commit a state.

    Args:
        store: the store's folder.
        generation: its number.
        state: what the fusion rule keeps, (R, planes, h, w).
        rows: the records, (R,).
        since: a sound generation that it may rest on, and the rows whose state, record or checksum
            is another by now. It is written whole if None.

    Returns:
        The records with their checksums, (R,).

    Raises:
        StoreError: if the disk is full or the folder cannot be written; nothing is committed.
    """
    final = folder_of(store, generation)
    partial = final.with_suffix(".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        rests = since and linked(folder_of(store, since.generation), partial, since.rows, state)
        seal: dict[str, dict[str, int]] = {}
        changed = None
        if since is None or rests is None:
            save_array(partial / "state.npy", state)
        else:
            (seal, at), changed = rests, since.rows
            if len(at):
                save_changes(partial / f"changes-{generation:06d}.npy", at, state)
        sealed = seal_rows(state, rows, changed)
        save_array(partial / "rows.npy", sealed)
        for file in set(partial.iterdir()):
            if file.name not in seal:
                seal[file.name] = {"bytes": file.stat().st_size, "crc32": checksum(file)}
        write_text(partial / "seal.json", seal_text(seal))
        sync_folder(partial)
        partial.rename(final)
        sync_folder(final.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{final} cannot be written ({error.strerror or error}); free disk space, or choose "
            "another folder"
        ) from error
    return sealed


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
        seal = read_seal(folder)
        for name in seal:
            size, expected = (folder / name).stat().st_size, seal[name]["bytes"]
            if size != expected:
                raise StoreError(
                    f"{folder / name} has {size} bytes, was sealed with {expected}; "
                    f"'oaa store verify {store}' says what to do"
                )
            if checksum(folder / name) != seal[name]["crc32"]:
                raise StoreError(
                    f"{folder / name} is damaged: its checksum is not the sealed one; "
                    f"'oaa store verify {store}' says what to do"
                )
        dtype, shape = header.rule.dtype, header.state_shape(count)
        changes = [mapped(folder / name, change_type(dtype, shape)) for name in change_files(seal)]
        # Changed rows are copied into memory; all others are the file's pages, as without changes.
        state = mapped(folder / "state.npy", dtype, shape, "c" if changes else "r")
        for change in changes:
            if len(change) and not 0 <= change["row"].min() <= change["row"].max() < count:
                raise StoreError(f"{folder} has changes of rows that are not in 0..{count - 1}")
            state[change["row"]] = change["state"]
        state.flags.writeable = False
        rows = np.array(mapped(folder / "rows.npy", ROW, (count,)))
    except StoreError:
        raise
    except DAMAGE as error:
        raise StoreError(
            f"{folder} is damaged: {error!r}; 'oaa store verify {store}' says what to do"
        ) from error
    return state, rows


def mapped(
    path: Path,
    dtype: np.dtype[Any],
    shape: tuple[int, ...] | None = None,
    mode: Literal["r", "c"] = "r",
) -> np.ndarray:
    """Map a `.npy` file of just that dtype and shape.

    Args:
        path: the file.
        dtype: that it must have.
        shape: that it must have; a list of any length if None.
        mode: "r": read-only; "c": what is written stays in memory.

    Raises:
        StoreError: if it holds another array, or is short or long.
        OSError, ValueError, ...: any of `DAMAGE`, if it is not such a file.

    `numpy.load` would also open an archive, and would reckon with whatever shape a file claims.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{path.name} is of .npy version {version}, expected (1, 0)")
        found, by_columns, kind = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    if shape is None:
        shape = found[:1]
    if (found, by_columns, kind) != (shape, False, dtype):
        order = " by columns" if by_columns else ""
        expected = f"{shape[0]} row records" if dtype == ROW else f"{dtype}{shape}"
        raise StoreError(f"{path} holds {kind}{found}{order}, expected {expected}; restore it")
    size, whole = path.stat().st_size, start + prod(shape) * dtype.itemsize
    if size != whole:
        raise StoreError(f"{path} has {size} bytes, expected {whole}; restore it")
    if 0 in shape:  # an empty array cannot be mapped
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, mode, start, shape)
