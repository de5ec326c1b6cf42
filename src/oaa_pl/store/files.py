"""Durable file operations: whole or not at all, and a full disk is an error that says so."""

import errno
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np

from oaa_pl.errors import StoreError

__all__ = ["checksum", "preallocate", "save_array", "save_bytes", "sync_folder", "write_text"]

_CHUNK = 1 << 22

# What a file system answers that knows no reservation.
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a crash leaves the old file or the new one.

    Raises:
        StoreError: if the disk is full or the folder cannot be written.
    """
    save_bytes(path, text.encode())


def save_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old file or the new one.

    Raises:
        StoreError: if the disk is full or the folder cannot be written.
    """
    _write_whole(path, lambda file: file.write(content))


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array of any shape as `.npy`, so that a crash leaves the old file or the new one.

    Raises:
        StoreError: if the disk is full or the folder cannot be written.
    """
    # Handed the file itself, numpy writes past it through C's buffers, and where a full disk takes
    # all but their last 4 KiB it says nothing. Handed no more than `write`, it uses that.
    _write_whole(
        path,
        lambda file: np.lib.format.write_array(
            SimpleNamespace(write=file.write), array, allow_pickle=False
        ),
    )


def preallocate(path: Path, size: int) -> None:
    """Make a file of that many zero bytes whose disk blocks exist.

    A sparse file on a full disk is a SIGBUS at some later write to its map; here a full disk is
    an error now.

    Raises:
        StoreError: if there is no room, or the folder cannot be written.
    """
    try:
        with path.open("wb") as file:
            if size:
                _reserve(file, size)
    except OSError as error:
        _discard(path)
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
    # macOS lacks this call, and some file systems of Linux refuse it. Written zeros take room too.
    zeros = bytes(min(size, _CHUNK))
    for start in range(0, size, _CHUNK):
        file.write(zeros[: size - start])
    file.flush()
    os.fsync(file.fileno())  # a network file system says only now that its disk is full


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


def _discard(path: Path) -> None:
    # Where the folder itself is the trouble, this fails as well; the first error is the one to say.
    with suppress(OSError):
        path.unlink()


def _write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        _discard(partial)
        raise StoreError(
            f"{path} cannot be written ({error.strerror or error}); free disk space, or choose "
            "another folder"
        ) from error
