"""One writer at a time: an advisory lock that dies with its process.

A POSIX record lock, not `flock`: it is not inherited by forked data-loader workers, so a killed
trainer's orphans cannot keep a store locked, and it works on network file systems.
"""

import fcntl
import json
import os
import socket
from pathlib import Path

from oaa_pl.errors import StoreError

__all__ = ["WriterLock"]


class WriterLock:
    """Exclusive right to write a folder, held until `release` or the end of the process.

    Args:
        path: the lock file; made if absent, left behind when released.

    Raises:
        StoreError: if another process holds it; the message has its pid and host.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 4096, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise StoreError(
                f"{path.parent} is being written by another process ({holder}); wait for it, "
                "or stop it"
            ) from error
        # Whoever held it before is gone: its record is replaced by ours.
        record = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, record, 0)

    def release(self) -> None:
        """Let the next writer in; harmless when already released."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
