"""joblib's backends: loky's processes, a Dask cluster, a Ray cluster.

A worker gets the work once, not with every item: work that knows 100,000 photos takes a second to
load.

A worker that is killed costs its own items: they are done again. An item that kills its worker
every time is an error.
"""

import logging
import os
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2
from joblib import Parallel, delayed, parallel_config
from typing_extensions import override

from oaa_pl.errors import ConfigError, OutputError
from oaa_pl.machine import one_thread_each, usable_cores
from oaa_pl.parallel.processes import begin_work, do_work, pickled

__all__ = ["engine_results"]

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_ATTEMPTS = 3  # without a single new result
_PATIENCE = 30  # seconds in which a cluster should answer
# Items of each worker of Ray, which gives results only when all are there. Each time its workers
# start again: of a pool that is kept, one that was killed is waited for.
_AT_A_TIME = 256

_loaded: dict[str, Callable[[Any], Any]] = {}  # by a worker of Ray


@dataclass(frozen=True)
class _Engine:
    """A backend that has started.

    Attributes:
        sent: work to options of `joblib.parallel_config`, and what each item is given to: the work
            itself, or what finds it in the worker.
        jobs: workers to use; -1: all.
        killed: the errors of a worker that died.
        streams: whether it gives results one at a time.
    """

    sent: Callable[[Callable[[Any], Any]], tuple[dict[str, Any], Callable[[Any], Any]]]
    jobs: int
    killed: tuple[type[BaseException], ...]
    streams: bool = True


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
        _ENGINES[backend](number, address) as engine,
        closing(_repeated(engine, work, items)) as results,
    ):
        yield results


def _repeated(
    engine: _Engine, work: Callable[[Item], Result], items: Sequence[Item]
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
    engine: _Engine, work: Callable[[Item], Result], items: Sequence[Item]
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


@contextmanager
def _loky(number: int | None, address: None) -> Iterator[_Engine]:
    import cloudpickle
    from joblib.externals.loky import get_reusable_executor

    del address

    def sent(work: object) -> tuple[dict[str, Any], Callable[[Any], Any]]:
        begin = {"initializer": begin_work, "initargs": (pickled(work, cloudpickle.dumps),)}
        return {"backend": "loky", **begin}, do_work

    try:
        yield _Engine(sent, number or usable_cores(), (BrokenProcessPool,))
    finally:
        get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


@contextmanager
def _dask(number: int | None, address: str | None) -> Iterator[_Engine]:
    from distributed import Client, KilledWorker, LocalCluster
    from distributed.comm import CommClosedError
    from joblib._dask import DaskDistributedBackend

    class Always(DaskDistributedBackend):  # type: ignore[misc]  # has no types
        """Never does the work in this process, as joblib does while there is one worker."""

        @override
        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(2, int(super().effective_n_jobs(n_jobs)))

    # One thread each: the current folder is that of the whole process.
    here = {"n_workers": number or usable_cores(), "threads_per_worker": 1}
    quiet = {"dashboard_address": None, "memory_limit": 0, "silence_logs": logging.CRITICAL}
    with ExitStack() as started:
        where = address or started.enter_context(LocalCluster(**here, **quiet))
        try:
            client = started.enter_context(Client(where))
            client.wait_for_workers(1, timeout=_PATIENCE)
        except (OSError, ValueError) as error:
            raise _unreachable("Dask scheduler with workers", address, error) from error
        threads = {count for count in client.nthreads().values() if count > 1}
        if threads:
            raise ConfigError(
                f"parallel.address={address}: the workers have {max(threads)} threads; start them "
                "with one each: dask worker --nthreads 1 --nworkers N"
            )

        def sent(work: Callable[[Any], Any]) -> tuple[dict[str, Any], Callable[[Any], Any]]:
            return {"backend": Always(client=client, scatter=[work])}, work

        yield _Engine(sent, -1, (KilledWorker, CancelledError, CommClosedError))


@contextmanager
def _ray(number: int | None, address: str | None) -> Iterator[_Engine]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # otherwise it reports to its makers
    import ray
    from ray.exceptions import RayError
    from ray.util.joblib import register_ray

    register_ray()
    running = ray.is_initialized()  # in a job of a sweep on Ray
    if not running:
        here = {"num_cpus": number or usable_cores(), "include_dashboard": False}
        try:
            _require_listener(address or "")
            ray.init(
                address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if address else here),
            )
        except (OSError, ValueError) as error:
            raise _unreachable("Ray cluster", address, error) from error
    try:
        cores = int(ray.cluster_resources().get("CPU", 0))
        if cores < (number or 1):  # Ray would wait for them forever
            raise ConfigError(
                f"parallel.workers={number}: expected at most the {cores} cores of the Ray "
                "cluster; give a smaller number, or leave it out"
            )

        def sent(work: object) -> tuple[dict[str, Any], Callable[[Any], Any]]:
            return {"backend": "ray"}, _Referred(ray.put(work))

        yield _Engine(sent, number or -1, (RayError,), streams=False)
    finally:
        if not running:
            ray.shutdown()


@dataclass(frozen=True)
class _Referred:
    """Work in the object store of a Ray cluster, which each worker loads once."""

    place: Any

    def __call__(self, item: Any) -> Any:
        import ray

        key = self.place.hex()
        if key not in _loaded:
            _loaded.clear()  # what was done before
            _loaded[key] = ray.get(self.place)
        return _loaded[key](item)


def _require_listener(address: str) -> None:
    """Raise an OSError if no program listens at an address: Ray would wait for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()


def _unreachable(what: str, address: str | None, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())
    return ConfigError(
        f"parallel.address={address or 'null, on this machine'}: no {what} answers there "
        f"({reason}); start it, or leave parallel.address out"
    )


_ENGINES: dict[str, Callable[[int | None, Any], AbstractContextManager[_Engine]]] = {
    "loky": _loky,
    "dask": _dask,
    "ray": _ray,
}
