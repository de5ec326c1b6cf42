"""A file that appears whole or not at all.

A report is written while people watch its folder, and a run may be killed at any moment: a
half-written table would be read as a short one.
"""

import os
from pathlib import Path

from oaa_pl.errors import OutputError

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file through a neighbour that takes its name only once it is complete.

    Args:
        path: the file to write; missing folders are made.
        content: every byte of it.

    Raises:
        OutputError: if the folder or the file cannot be written; the old file is then unharmed.
    """
    # The process id keeps two processes that write the same report from sharing one neighbour.
    neighbour = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            neighbour.write_bytes(content)
            neighbour.replace(path)
        finally:
            neighbour.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; make its folder writable "
            "or choose another one"
        ) from error
