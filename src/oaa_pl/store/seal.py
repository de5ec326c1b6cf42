"""What tells a sound generation from a damaged one: a checksum of each file, and one of each row.

    {"state.npy": {"bytes": 4224, "crc32": 1937}, "rows.npy": ...}     seal.json of a generation

Shapes: R rows (present pairs), h x w cells of the grid.
"""

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from oaa_pl.store.files import blocks
from oaa_pl.store.layout import ROW

__all__ = [
    "DAMAGE",
    "FILES",
    "change_files",
    "read_seal",
    "row_checksums",
    "seal_rows",
    "seal_text",
]

FILES = ("state.npy", "rows.npy")
"""The arrays of every generation. It may also have files of changes: see `store.changes`."""

# All that a damaged seal or array file makes json and numpy raise.
DAMAGE = (
    OSError, ValueError, LookupError, TypeError, EOFError, OverflowError, MemoryError,
    RecursionError, SyntaxError, TokenError,
)  # fmt: skip

_CHANGES = re.compile(r"changes-(\d{6,18})\.npy", re.ASCII)


def change_files(names: Iterable[str]) -> list[str]:
    """Those of a generation's file names that are of changes, the oldest first."""
    found = ((match, name) for name in names if (match := _CHANGES.fullmatch(name)))
    return [name for _, name in sorted((int(match[1]), name) for match, name in found)]


def read_seal(folder: Path) -> dict[str, dict[str, int]]:
    """Size and checksum of each file of a generation, as they were sealed.

    Args:
        folder: of the generation.

    Raises:
        OSError, ValueError, ...: any of `DAMAGE`, if the seal is not what was written.
    """
    text = (folder / "seal.json").read_bytes()
    seal = json.loads(text)
    names = (*FILES, *change_files(seal))
    sealed = {name: {key: int(seal[name][key]) for key in ("bytes", "crc32")} for name in names}
    if text != seal_text(sealed).encode():
        raise ValueError("seal.json is not as it was written")
    return sealed


def seal_text(seal: Mapping[str, Mapping[str, int]]) -> str:
    """The text of `seal.json`."""
    return json.dumps({name: seal[name] for name in (*FILES, *change_files(seal))}, indent=1) + "\n"


def row_checksums(state: np.ndarray, rows: np.ndarray) -> NDArray[np.uint32]:
    """CRC-32 of each row's state and of its record up to the checksum: (R,)."""
    known = ROW.fields["checksum"][1] if ROW.fields else 0
    checksums = np.zeros(len(rows), np.uint32)
    size = state[:1].nbytes
    for part in blocks(len(rows), size):
        cells, records = memoryview(state[part].tobytes()), memoryview(rows[part].tobytes())
        checksums[part] = [
            zlib.crc32(
                records[n * ROW.itemsize : n * ROW.itemsize + known],
                zlib.crc32(cells[n * size : (n + 1) * size]),
            )
            for n in range(part.stop - part.start)
        ]
    return checksums


def seal_rows(
    state: np.ndarray, rows: np.ndarray, changed: NDArray[np.int64] | None = None
) -> np.ndarray:
    """The rows' records with their checksums: (R,).

    Args:
        state: what the fusion rule keeps, (R, planes, h, w).
        rows: the records, (R,).
        changed: the rows whose checksum is to be set, the others' are known; all of them if None.
    """
    sealed = rows.copy()
    if changed is None:
        sealed["checksum"] = row_checksums(state, rows)
        return sealed
    for part in blocks(len(changed), state[:1].nbytes):
        at = changed[part]
        sealed["checksum"][at] = row_checksums(state[at], rows[at])
    return sealed
