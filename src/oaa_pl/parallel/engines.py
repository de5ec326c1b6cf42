"""Work spread by joblib: over loky's processes, a Dask cluster, a Ray cluster.

A worker that is killed costs its own items: they are done again. An item that kills its worker
every time is an error.
"""

import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
from joblib import Parallel, delayed, parallel_config

from oaa_pl.errors import OutputError
from oaa_pl.machine import one_thread_each
from oaa_pl.parallel.backends import ENGINES, Engine

__all__ = ["engine_results"]

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_ATTEMPTS = 3  # without a single new result
# Items of each worker of Ray, which gives results only when all are there. Each time its workers
# start again: of a pool that is kept, one that was killed is waited for.
_AT_A_TIME = 256


@contextmanager
def engine_results(
    backend: str,
    work: Callable[[Item], Result],
    items: Sequence[Item],
    number: int | None,
    address: str | None,
) -> Iterator[Iterator[Result]]:
    """Spread a function over the workers of a backend of joblib.

    Args:
        backend: "loky", "dask" or "ray".
        work: the function.
        items: its arguments.
        number: of workers; None: one per core, or all of the cluster.
        address: of the cluster; None: one of this machine alone.

    Yields:
        The results, in the order of the items.

    Raises:
        OutputError: if workers are killed again and again.
        ConfigError: if the cluster does not answer.
    """
    with (
        one_thread_each(),
        ENGINES[backend](number, address) as engine,
        closing(_repeated(engine, work, items)) as results,
    ):
        yield results


def _repeated(
    engine: Engine, work: Callable[[Item], Result], items: Sequence[Item]
) -> Generator[Result, None, None]:
    """The results in order, from the first that is missing after each death of a worker."""
    done, attempts = 0, 0
    while done < len(items):
        before = done
        try:
            for result in _results(engine, work, items[done:]):
                yield result
                done += 1
        except engine.killed as error:
            attempts = 1 if done > before else attempts + 1
            if attempts == _ATTEMPTS:
                raise OutputError(
                    f"workers were killed again and again, perhaps for lack of memory; {done} of "
                    f"{len(items)} results are complete; run the same command again, with fewer "
                    "workers or more memory: it makes what is missing"
                ) from error
            log.warning("a worker was killed; what it had not done is done again")


def _results(
    engine: Engine, work: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[Result]:
    options, there = engine.sent(work)
    with parallel_config(n_jobs=engine.jobs, **options):
        # Without memory maps of large arguments: they would need the disk of one machine.
        parallel = Parallel(return_as="generator" if engine.streams else "list", max_nbytes=None)
    task = partial(delayed(_one), there, folder=str(Path.cwd()))
    if engine.streams:
        yield from parallel(map(task, items))
        return
    at_once = _AT_A_TIME * max(engine.jobs, 1)
    for start in range(0, len(items), at_once):
        yield from parallel(map(task, items[start : start + at_once]))


def _one(work: Callable[[Item], Result], item: Item, folder: str) -> Result:
    """Do one item in a worker, in the folder of the command: paths may be relative to it."""
    cv2.setNumThreads(1)  # there is one worker per core
    if Path.cwd() != Path(folder):
        try:
            os.chdir(folder)
        except OSError as error:
            raise OutputError(
                f"a worker on {os.uname().nodename} cannot use the folder {folder} "
                f"({error.strerror}); all machines must see it under the same path"
            ) from error
    return work(item)
