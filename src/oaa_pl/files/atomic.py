"""A file that appears whole or not at all: how the rooms below write what others read meanwhile.

A store's files, which must survive a power cut as well, have a way of their own: `store.files`.
"""

import os
import secrets
from pathlib import Path

__all__ = ["LONGEST_NAME", "put_whole"]

LONGEST_NAME = 255
"""Bytes of the longest file name on every usual disk."""


def put_whole(path: Path, content: bytes) -> None:
    """Write a file through a neighbour that takes its name only once it is complete.

    Args:
        path: the file to write; missing folders are made.
        content: every byte of it.

    Raises:
        OSError: if the folder or the file cannot be written; the old file is then unharmed, and
            what to do about it is the caller's to say.
    """
    # Nobody else's, whichever threads and hosts write the same file. The process id comes last, for
    # whoever clears up what the dead have left. Without the file's name, which may be as long as
    # the disk allows.
    neighbour = path.with_name(f".{secrets.token_hex(8)}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        neighbour.write_bytes(content)
        neighbour.replace(path)
    finally:
        neighbour.unlink(missing_ok=True)
