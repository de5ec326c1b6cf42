"""What is wrong with a generation, row by row, and what of it is still good.

`open_generation` refuses a damaged generation as a whole. This file looks closer: every row carries
the checksum of its state and its record, so that a flipped bit costs a row and not a store.

Shapes: R rows (present pairs), h x w cells of the grid.
"""

import io
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import StoreError
from oaa_pl.store.changes import change_type
from oaa_pl.store.files import blocks, checksum
from oaa_pl.store.generation import (
    committed,
    folder_of,
    open_generation,
)
from oaa_pl.store.layout import ROW, Header
from oaa_pl.store.seal import DAMAGE, change_files, read_seal, row_checksums

__all__ = ["Findings", "examine"]


@dataclass(frozen=True)
class Findings:
    """The outcome of examining a generation.

    Attributes:
        generation: its number.
        problems: what is wrong with it, one sentence each; none exactly if it can be opened and
            every row is good.
        damaged: rows that are not what was committed, ascending, (D,).
        state: what the fusion rule keeps, (R, planes, h, w); zero in damaged rows.
        rows: a `layout.ROW` record per row, (R,); zero, so of origin "none", in damaged rows.
    """

    generation: int
    problems: tuple[str, ...]
    damaged: NDArray[np.int64]
    state: np.ndarray
    rows: np.ndarray


def examine(store: Path, generation: int, header: Header, count: int) -> Findings:
    """Compare every file and every row of a generation with its checksums; changes nothing.

    Args:
        store: the store's folder.
        generation: a committed generation's number.
        header: what the maps mean.
        count: rows R that the store must have.

    Raises:
        StoreError: if there is no such generation.
    """
    folder = folder_of(store, generation)
    if not folder.is_dir():
        raise StoreError(f"{store} has no generation {generation}; it has {committed(store)}")
    problems = _problems(folder)
    if not problems:
        try:
            # By the files' own pages: a sound generation needs no memory for its state.
            state, rows = open_generation(store, generation, header, count)
            if (row_checksums(state, rows) == rows["checksum"]).all():
                return Findings(generation, (), np.zeros(0, np.int64), state, rows)
            problems = [f"{folder} was sealed with damaged rows"]
        except StoreError as error:
            problems = [str(error)]
    state = _salvaged(folder / "state.npy", header.rule.dtype, header.state_shape(count))
    rows = _salvaged(folder / "rows.npy", ROW, (count,))
    good = row_checksums(state, rows) == rows["checksum"]
    for name in change_files(one.name for one in folder.iterdir()):
        _take_changes(folder / name, state, rows, good)
    damaged = np.flatnonzero(~good)
    state[damaged], rows[damaged] = 0, 0
    return Findings(generation, tuple(problems), damaged, state, rows)


def _problems(folder: Path) -> list[str]:
    """What of a generation's files is not as it was sealed."""
    try:
        seal = read_seal(folder)
    except FileNotFoundError:
        return [f"{folder / 'seal.json'} is missing"]
    except DAMAGE as error:
        return [f"{folder / 'seal.json'} is damaged ({error!r})"]
    found = []
    for name in seal:
        path, size, crc = folder / name, seal[name]["bytes"], seal[name]["crc32"]
        try:
            if path.stat().st_size != size:
                found.append(f"{path} has {path.stat().st_size} bytes, was sealed with {size}")
            elif checksum(path) != crc:
                found.append(f"{path} is damaged: its checksum is not the sealed one")
        except FileNotFoundError:
            found.append(f"{path} is missing")
        except OSError as error:
            found.append(f"{path} cannot be read ({error.strerror or error})")
    return found


def _salvaged(path: Path, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> np.ndarray:
    """An array of known shape from its file, whatever the file's own header says.

    Returns:
        The array; zero where the file ends too early, and all zero if it cannot be read.
    """
    array = np.zeros(shape, dtype)
    content = array.reshape(-1).view(np.uint8) if array.size else np.zeros(0, np.uint8)
    with suppress(OSError), path.open("rb") as file:
        file.seek(_header_size(dtype, shape))
        file.readinto(content.data)
    return array


def _take_changes(path: Path, state: np.ndarray, rows: np.ndarray, good: NDArray[np.bool_]) -> None:
    """Set rows that are not good yet to what a file of changes has of them, if that is good.

    A row's checksum tells which of its states is the committed one. So a damaged file, or a damaged
    place in it, never moves a state to another row.
    """
    kind = change_type(state.dtype, state.shape)
    # The size of the header does not depend on the number of records: numpy leaves space for that.
    start = _header_size(kind, rows.shape)
    with suppress(OSError), path.open("rb") as file:
        file.seek(start)
        for part in blocks(max(0, path.stat().st_size - start) // kind.itemsize, kind.itemsize):
            content = file.read((part.stop - part.start) * kind.itemsize)
            changes = np.frombuffer(content, kind, len(content) // kind.itemsize)
            at = changes["row"]
            open_to = (at >= 0) & (at < len(rows))
            open_to[open_to] = ~good[at[open_to]]
            at, cells = at[open_to], changes["state"][open_to]
            right = row_checksums(cells, rows[at]) == rows["checksum"][at]
            state[at[right]], good[at[right]] = cells[right], True


def _header_size(dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> int:
    """Bytes before the first value in the `.npy` file of an array."""
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
    np.lib.format.write_array_header_1_0(header, {**described, "shape": shape})
    return header.tell()
