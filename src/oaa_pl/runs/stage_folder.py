"""A stage's folder: one writer at a time, and files that are whole or absent."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oaa_pl.errors import OutputError, RunMismatchError, StoreError
from oaa_pl.files.atomic import write_whole
from oaa_pl.files.lock import WriterLock

__all__ = [
    "LOCK", "clear", "damaged", "locked", "read_json", "write_json", "write_text",
    "writing",
]  # fmt: skip

LOCK = "writer.lock"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """The sole right to write a stage's folder, for work that is not a stage of its own.

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
    return f"{path} is damaged ({why}); remove the folder to make the stage again"
