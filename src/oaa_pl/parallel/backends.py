"""How each backend of joblib starts, and how its workers get the work.

A worker gets it once, not with every item: to load it takes 20 µs for each photo that it knows.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from oaa_pl.errors import ConfigError
from oaa_pl.machine import usable_cores
from oaa_pl.parallel.processes import begin_work, do_work, pickled

__all__ = ["ENGINES", "Engine"]

_PATIENCE = 30  # seconds in which a cluster should answer

_loaded: dict[str, Callable[[Any], Any]] = {}  # by a worker of Ray


@dataclass(frozen=True)
class Engine:
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
def _loky(number: int | None, address: None) -> Iterator[Engine]:
    import cloudpickle
    from joblib.externals.loky import get_reusable_executor

    del address

    def sent(work: object) -> tuple[dict[str, Any], Callable[[Any], Any]]:
        begin = {"initializer": begin_work, "initargs": (pickled(work, cloudpickle.dumps),)}
        return {"backend": "loky", **begin}, do_work

    try:
        yield Engine(sent, number or usable_cores(), (BrokenProcessPool,))
    finally:
        get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


@contextmanager
def _dask(number: int | None, address: str | None) -> Iterator[Engine]:
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

        yield Engine(sent, -1, (KilledWorker, CancelledError, CommClosedError))


@contextmanager
def _ray(number: int | None, address: str | None) -> Iterator[Engine]:
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

        yield Engine(sent, number or -1, (RayError,), streams=False)
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


ENGINES: dict[str, Callable[[int | None, Any], AbstractContextManager[Engine]]] = {
    "loky": _loky,
    "dask": _dask,
    "ray": _ray,
}
"""Each backend: a number of workers (None: all) and an address -> its engine, until the end."""
