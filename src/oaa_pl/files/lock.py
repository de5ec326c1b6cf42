"""One writer at a time: an advisory lock that dies with its process.

A POSIX record lock, not `flock`: forked data-loader workers do not inherit it, so the orphans of a
killed trainer cannot keep a store locked, and it works on network file systems. Linux and macOS
have it. The packages `filelock` and `portalocker` use `flock`, so they cannot replace it.
"""

import errno
import fcntl
import json
import os
import socket
import weakref
from pathlib import Path

from oaa_pl.errors import InUseError, StoreError

__all__ = ["WriterLock"]

# A record lock never refuses its own process, and is lost when that process closes any handle on
# the file. So the locks of this process are listed here, and looked up before a file is opened
# again. With the process id, since a fork inherits the list but not the locks.
_held: set[tuple[int, Path]] = set()


class WriterLock:
    """Exclusive right to write a folder, held until `release` or the end of the process.

    Args:
        path: the lock file; made if absent, left behind when released.

    Raises:
        InUseError: if it is held, by this process or by another (then the message has its pid and
            host).
        StoreError: if the file system knows no locks.
    """

    def __init__(self, path: Path) -> None:
        key = os.getpid(), path.resolve()
        if key in _held:
            raise InUseError(f"{path.parent} is being written by this very process; close it first")
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(file, 4096, 0).decode(errors="replace").strip() or "unknown"
            os.close(file)
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise StoreError(
                    f"{path} cannot be locked ({error.strerror}); choose a folder on a file system "
                    "that has POSIX locks"
                ) from error
            raise InUseError(
                f"{path.parent} is being written by another process ({holder}); wait for it, "
                "or stop it"
            ) from error
        _held.add(key)
        # Release it with this object as well: Python does not close a bare descriptor.
        self._let_go = weakref.finalize(self, _let_go, file, key)
        # The holder before is gone: replace its record.
        record = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, record, 0)
        except OSError:
            # The error's traceback keeps this object alive; it must not keep the lock.
            self.release()
            raise

    def release(self) -> None:
        """Release the lock; does nothing if it is released already."""
        self._let_go()


def _let_go(file: int, key: tuple[int, Path]) -> None:
    os.close(file)
    _held.discard(key)
