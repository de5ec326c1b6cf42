"""Differences between the systems that this package runs on: Linux and macOS.

Kept free of torch imports so that worker processes start fast.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from oaa_pl.errors import UnsupportedSystemError

__all__ = ["one_thread_each", "require_posix", "usable_cores"]

# Environment variables that the libraries below numpy, scipy and torch read when they are loaded:
# OpenMP, OpenBLAS, MKL and Apple's Accelerate.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def require_posix() -> None:
    """Refuse a system that lacks the file locks and memory maps that stores need.

    Raises:
        UnsupportedSystemError: on Windows, whose Python has no POSIX record locks.
    """
    if sys.platform in ("win32", "cygwin"):
        raise UnsupportedSystemError(
            f"oaa_pl runs on Linux and macOS, got {sys.platform!r}: a store needs the file locks "
            "of POSIX, which Windows does not have; run it inside WSL 2"
        )


def usable_cores() -> int:
    """Number of cores that this process may use, 1 or more."""
    # macOS cannot bind a process to cores, so all of them count there.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Start processes in the block with one thread each.

    Without it, N processes on N cores would have N threads each, and threads wait for each other by
    spinning. This process keeps its threads: a library reads the variables only when it is loaded.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
