"""The processes that make proxy labels: one thread each, and one clean end for a Ctrl-C.

Kept free of torch imports so that the processes start fast.
"""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import cv2

from oaa_pl.errors import OutputError
from oaa_pl.machine import one_thread_each, usable_cores
from oaa_pl.proxy.produce import MadeLabel

__all__ = ["label_pool"]

Spread = Callable[[Callable[[int], MadeLabel], Iterable[int]], Iterator[MadeLabel]]


@contextmanager
def label_pool(wanted: int | None) -> Iterator[Spread]:
    """A `map` that spreads its work over processes.

    Args:
        wanted: number of processes; None: one per core. With one, this process does the work.

    Yields:
        A function like `map`: of the work and the images' indices, to the results in order.

    Raises:
        OutputError: if a process is killed.
    """
    count = wanted or usable_cores()
    if count == 1:
        yield map
        return
    # Spawned: a fork of a process that has run torch may inherit a lock that is never released.
    context = multiprocessing.get_context("spawn")
    with one_thread_each(), ProcessPoolExecutor(count, context, initializer=_join) as pool:

        def spread(work: Callable[[int], MadeLabel], indices: Iterable[int]) -> Iterator[MadeLabel]:
            with _interrupted_later():  # `map` starts the processes
                return pool.map(work, indices, chunksize=8)

        try:
            yield spread
        except BrokenProcessPool as error:
            raise OutputError(
                "a process that makes labels was killed, perhaps for lack of memory; run the same "
                "command again, with fewer of them: label.workers=1"
            ) from error
        except BaseException:
            # Otherwise the end of the block would wait for all labels that are not made yet.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _join() -> None:
    """Set up a process of the pool."""
    cv2.setNumThreads(1)  # there is one process per core
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command itself handles Ctrl-C


@contextmanager
def _interrupted_later() -> Iterator[None]:
    """Let a Ctrl-C wait until the block ends, here and in the processes that are started in it.

    A process that is interrupted while it starts would print a traceback. New processes inherit
    the blocked signal, and ignore it from `_join` on.

    Raises:
        KeyboardInterrupt: at the end, if there was one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in the main thread alone
        return
    seen: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
    if seen:
        raise KeyboardInterrupt
