"""A file of a report, which appears whole or not at all.

A report is written while people watch its folder, and a run may be killed at any moment: a
half-written table would be read as a short one.
"""

from pathlib import Path

from oaa_pl.errors import OutputError
from oaa_pl.files.atomic import put_whole

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step; see `whole_file.put_whole`.

    Args:
        path: the file to write; missing folders are made.
        content: every byte of it.

    Raises:
        OutputError: if the folder or the file cannot be written; the old file is then unharmed.
    """
    try:
        put_whole(path, content)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; make its folder writable "
            "or choose another one"
        ) from error
