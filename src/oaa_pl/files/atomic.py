"""The one way to write a file: it appears complete or not at all.

Others read a run's folder while it is written, and a process may be killed at any moment. What a
killed process leaves is a hidden file, which `sweep` removes.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from oaa_pl.errors import OutputError, StoreError

__all__ = ["LONGEST_NAME", "sweep", "write_whole"]

LONGEST_NAME = 255
"""Bytes of the longest file name on every usual disk."""


def write_whole(
    path: Path,
    content: bytes | memoryview | Callable[[BinaryIO], object],
    *,
    durable: bool = False,
    error: type[OutputError | StoreError] = OutputError,
) -> None:
    """Write a file under a temporary name beside it, then rename it.

    Args:
        path: the file to write; missing folders are made.
        content: every byte of it, or a function that writes them to an open file.
        durable: whether the file must survive a power cut as well: costs a flush of the disk.
        error: the class of the error below.

    Raises:
        OutputError: if the folder or the file cannot be written, or the disk is full; an old file
            is then unharmed. Of class `error`, if one is given.
    """
    # Unique among threads and hosts that write the same file; `sweep` reads the id of the process.
    # The file's own name is left out: it may be as long as the disk allows.
    partial = path.with_name(f".{secrets.token_hex(8)}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except OSError as cause:
        raise error(
            f"{path} cannot be written ({cause.strerror or cause}); free disk space, make its "
            "folder writable, or choose another one"
        ) from cause
    finally:
        with suppress(OSError):  # its folder may be the trouble; the first error is the one to show
            partial.unlink(missing_ok=True)


def sweep(folder: Path, pattern: str = "**/.*") -> None:
    """Remove the unfinished files of killed processes, and those of this process.

    Args:
        folder: where to look; nothing in it may just be written by this process.
        pattern: of the hidden files to look at; by default also in all folders below.
    """
    for leftover in folder.glob(pattern):
        # The other two endings are of older versions, and of downloads.
        unfinished = leftover.suffix in (".partial", ".part", ".tmp") and leftover.is_file()
        if unfinished and not _being_written(leftover):
            leftover.unlink(missing_ok=True)


def _being_written(path: Path) -> bool:
    """Whether the name has the id of another process, and that process is alive."""
    number = path.stem.rpartition(".")[2]
    if not number.isdecimal() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)  # sends nothing
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
