"""A stage's folder: one writer at a time, and files that are whole or absent."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oaa_pl.errors import OutputError, RunMismatchError, StoreError
from oaa_pl.files.atomic import write_whole
from oaa_pl.files.lock import WriterLock

__all__ = [
    "LOCK", "clear", "damaged", "locked", "read_json", "sweep", "write_json", "write_text",
    "writing",
]  # fmt: skip

LOCK = "writer.lock"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """The sole right to write a stage's folder, for what is no stage of its own.

    Raises:
        StoreError: if another process writes the folder.
        OutputError: if the folder cannot be written.
    """
    lock = locked(folder)
    try:
        yield
    finally:
        lock.release()


def locked(folder: Path) -> WriterLock:
    """Make a folder and take its lock.

    Raises:
        StoreError: if another process writes the folder.
        OutputError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return WriterLock(folder / LOCK)
    except StoreError:
        raise
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror}); free disk space, or choose another "
            "run folder (runs=...)"
        ) from error


def clear(folder: Path) -> None:
    """Remove all that a folder has but its lock, which is held."""
    for path in folder.iterdir():
        if path.name == LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def sweep(folder: Path, pattern: str = "**/.*") -> None:
    """Remove the hidden files that a killed process had not yet renamed to what they became.

    Args:
        folder: where to look.
        pattern: of the hidden files; by default those of all folders below as well.
    """
    for leftover in folder.glob(pattern):
        unfinished = leftover.suffix in (".partial", ".part", ".tmp") and leftover.is_file()
        if unfinished and not _being_written(leftover):
            leftover.unlink(missing_ok=True)


def _being_written(path: Path) -> bool:
    """Whether the process whose number is in the name, if there is one, is another that lives."""
    number = path.stem.rpartition(".")[2]
    if not number.isdecimal() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)  # asks only
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, making its folder.

    Raises:
        OutputError: if it cannot be written.
    """
    write_whole(path, text.encode())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all, making its folder.

    Raises:
        OutputError: if it cannot be written.
    """
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a mapping that `write_json` wrote.

    Raises:
        RunMismatchError: if it is missing or damaged.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunMismatchError(damaged(path, repr(error))) from error
    if not isinstance(content, dict):
        raise RunMismatchError(damaged(path, f"it holds {type(content).__name__}"))
    return content


def damaged(path: Path, why: str) -> str:
    """What to say of a record that cannot be used."""
    return f"{path} is damaged ({why}); remove the folder to make the stage anew"
