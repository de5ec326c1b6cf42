"""Files of a store: they survive a crash or a power cut, and a full disk is a named error."""

import errno
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np

from oaa_pl.errors import StoreError
from oaa_pl.files.atomic import write_whole

__all__ = ["blocks", "checksum", "preallocate", "save_array", "sync_folder", "write_text"]

_CHUNK = 1 << 22

# Error numbers of file systems that cannot reserve space.
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a crash leaves the old file or the new one.

    Raises:
        StoreError: if the disk is full or the folder cannot be written.
    """
    write_whole(path, text.encode(), durable=True, error=StoreError)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array of any shape as `.npy`, so that a crash leaves the old file or the new one.

    Raises:
        StoreError: if the disk is full or the folder cannot be written.
    """

    def write(file: BinaryIO) -> None:
        # Given the file itself, numpy writes through C's buffers, and does not notice where a full
        # disk lacks space for the last 4 KiB. Given no more than its `write`, it uses that.
        only_write = SimpleNamespace(write=file.write)
        np.lib.format.write_array(only_write, array, allow_pickle=False)

    write_whole(path, write, durable=True, error=StoreError)


def preallocate(path: Path, size: int) -> None:
    """Make a file of that many zero bytes whose disk blocks exist.

    A sparse file on a full disk is a SIGBUS at some later write to its map; here a full disk is
    an error now.

    Raises:
        StoreError: if there is no space, or the folder cannot be written.
    """
    try:
        with path.open("wb") as file:
            if size:
                _reserve(file, size)
    except OSError as error:
        with suppress(OSError):  # the folder may be the trouble; the first error is the one to show
            path.unlink()
        raise StoreError(
            f"{path}: cannot reserve {size} bytes ({error.strerror}); free disk space, or choose "
            "another run folder"
        ) from error


def _reserve(file: BinaryIO, size: int) -> None:
    """Give an empty file that many zero bytes, with the disk blocks that they need."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                raise
    # macOS lacks this call, and some file systems of Linux refuse it. Written zeros take space too.
    zeros = bytes(min(size, _CHUNK))
    for start in range(0, size, _CHUNK):
        file.write(zeros[: size - start])
    file.flush()
    os.fsync(file.fileno())  # a network file system says only now that its disk is full


def blocks(count: int, row_bytes: int) -> Iterator[slice]:
    """Slices of rows, a few MiB each: whatever a store's size, no more of it is in memory at once.

    Args:
        count: number of rows.
        row_bytes: of one row.
    """
    step = max(1, _CHUNK // max(1, row_bytes))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def checksum(path: Path) -> int:
    """CRC-32 of a file's bytes."""
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut, where the file system allows it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
