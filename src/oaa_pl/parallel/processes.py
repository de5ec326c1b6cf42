"""Processes of this machine: one thread each, and one clean end for a Ctrl-C.

A process gets its work once, when it starts: to load it takes 20 µs for each photo that it knows.

Kept free of torch imports so that the processes start fast. They do in two thirds of the time that
joblib's take, and end without a traceback at a Ctrl-C.
"""

import multiprocessing
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import cv2

from oaa_pl.errors import ConfigError, OutputError
from oaa_pl.machine import one_thread_each

__all__ = ["begin_work", "do_work", "pickled", "process_results"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_A_TIME = 4  # items that a process gets at most: the last ones leave no process idle for long

_given: dict[str, Callable[[Any], Any]] = {}  # to this worker process


@contextmanager
def process_results(
    work: Callable[[Item], Result], items: Sequence[Item], number: int
) -> Iterator[Iterator[Result]]:
    """Spread a function over processes.

    Args:
        work: the function. It is pickled.
        items: its arguments.
        number: of processes.

    Yields:
        The results, in the order of the items.

    Raises:
        OutputError: if a process is killed.
        ConfigError: if the work cannot be pickled, or a process cannot load it.
    """
    # Spawned: a fork of a process that has run torch may inherit a lock that is never released.
    context = multiprocessing.get_context("spawn")
    with (
        one_thread_each(),
        ProcessPoolExecutor(number, context, begin_work, (pickled(work, pickle.dumps),)) as pool,
    ):
        try:
            with _interrupted_later():  # `map` starts the processes
                chunk = max(1, min(_AT_A_TIME, len(items) // (4 * number)))
                results = pool.map(do_work, items, chunksize=chunk)
            yield results
        except BrokenProcessPool as error:
            raise OutputError(
                "a worker process was killed, perhaps for lack of memory; run the same command "
                "again, with fewer of them: parallel.workers=1, or label.workers=1 for labels"
            ) from error
        except BaseException:
            # Otherwise the end of the block would wait for all results that are not made yet.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def pickled(work: object, dumps: Callable[[Any], bytes]) -> bytes:
    """Work as it is sent to processes.

    Args:
        work: the function that they call.
        dumps: pickles it.

    Raises:
        ConfigError: if it cannot be pickled.
    """
    try:
        return dumps(work)
    except Exception as error:  # whatever a class of the user's raises
        raise ConfigError(_useless("be sent its work", error)) from error


def begin_work(sent: bytes) -> None:
    """Set up a worker process: its work, one thread of OpenCV, and no Ctrl-C.

    Args:
        sent: the function of `do_work`, pickled. If it cannot be loaded, every item is an error.
    """
    cv2.setNumThreads(1)  # there is one process per core
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command itself handles Ctrl-C
    try:
        _given["work"] = pickle.loads(sent)  # noqa: S301  # from the command that started this
    except Exception as error:  # whatever a class of the user's raises
        _given["work"] = partial(_refuse, _useless("load its work", error))


def do_work(item: Any) -> Any:
    """The result of one item, in a process that `begin_work` set up."""
    return _given["work"](item)


def _refuse(reason: str, _: object) -> None:
    raise ConfigError(reason)


def _useless(what: str, error: Exception) -> str:
    return (
        f"a worker process cannot {what} ({type(error).__name__}: {error}): move your own classes "
        "and functions to a module that it can import, or do all here: parallel.workers=1"
    )


@contextmanager
def _interrupted_later() -> Iterator[None]:
    """Let a Ctrl-C wait until the block ends, here and in the processes that are started in it.

    A process that is interrupted while it starts would print a traceback. New processes inherit
    the blocked signal, and ignore it from `ignore_interrupts` on.

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
