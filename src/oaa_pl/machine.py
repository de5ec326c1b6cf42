"""Differences between the systems that this package runs on: Linux and macOS.

Kept free of torch imports so that worker processes start fast.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from oaa_pl.errors import UnsupportedSystemError

__all__ = ["keep_freed_memory", "one_thread_each", "require_posix", "usable_cores"]

# Environment variables that the libraries below numpy, scipy and torch read when they are loaded:
# OpenMP, OpenBLAS, MKL and Apple's Accelerate.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

# Of glibc's malloc.h: the size from which a block is mapped on its own, and the size of the free
# end of the heap from which it is given back. By default they are 128 kB, and grow to 32 MB.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_MAPPED = (2**30, 2**25)  # older versions refuse the first
_GIVEN_BACK = 2**31 - 1  # the largest int


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


def keep_freed_memory() -> bool:
    """Keep the memory that a step frees for the next step, up to 2 GiB.

    A training step on a CPU needs the same large blocks as the step before it. By default glibc
    gives them back to the system, which has to clear every page of them again: see docs/speed.md.

    Returns:
        Whether anything was changed: not if another C library allocates, nor if the environment
        has settings for it (`MALLOC_...` or `GLIBC_TUNABLES`).
    """
    if any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # macOS, musl
        return False
    mapped = any(mallopt(_MMAP_THRESHOLD, size) for size in _MAPPED)
    return mapped and bool(mallopt(_TRIM_THRESHOLD, _GIVEN_BACK))
