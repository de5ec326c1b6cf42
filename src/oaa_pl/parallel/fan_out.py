"""Where the same work is done for every photo: here, in processes of this machine, or on a cluster.

Labels, saliency maps, exports of maps and scores of maps are all spread by `FanOut.results`. Its
backend changes where a result is made, never the result.

Kept free of torch imports so that worker processes start fast.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from oaa_pl.errors import ConfigError, OutputError, first_few
from oaa_pl.machine import usable_cores
from oaa_pl.parallel.processes import process_results

__all__ = ["BACKENDS", "FanOut", "require_visible"]

BACKENDS = {
    "processes": (),
    "loky": ("joblib", "cloudpickle"),
    "dask": ("joblib", "distributed"),
    "ray": ("joblib", "ray"),
}
"""Each backend, and the packages that it needs."""

_CLUSTERS = ("dask", "ray")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class FanOut:
    """What `parallel` in the configuration describes.

    Attributes:
        backend: one of `BACKENDS`: processes of this machine, by this package or by joblib's loky;
            or the workers of a Dask or Ray cluster.
        workers: how many, 1 or more; None: as many as is usual for the work, on a cluster all.
        address: of the Dask scheduler or the Ray cluster; None: a cluster of this machine alone,
            which ends with the work.

    Raises:
        ConfigError: if the backend is not known, its package is not installed, or another value
            does not fit it.
    """

    backend: str = "processes"
    workers: int | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ConfigError(
                f"parallel.backend must be one of {', '.join(BACKENDS)}, got {self.backend!r}"
            )
        number = self.workers
        if number is not None and (type(number) is not int or number < 1):
            raise ConfigError(
                f"parallel.workers must be a whole number of 1 or more, or null, got {number!r}"
            )
        if self.address is not None and self.backend not in _CLUSTERS:
            raise ConfigError(
                f"parallel.address is of a cluster, but parallel.backend={self.backend} uses this "
                f"machine; say parallel.backend={_CLUSTERS[0]} or {_CLUSTERS[1]}, or leave it out"
            )
        if lacking := [name for name in BACKENDS[self.backend] if find_spec(name) is None]:
            raise ConfigError(
                f"parallel.backend={self.backend} needs {' and '.join(lacking)}: "
                f"pip install 'oaa_pl[parallel-{self.backend}]'"
            )

    def alone(self, usual: int | None = None) -> bool:
        """Whether this process does the work.

        Args:
            usual: see `results`.
        """
        return self.backend not in _CLUSTERS and self._number(usual) == 1

    def _number(self, usual: int | None) -> int | None:
        """How many workers; None: all of a cluster."""
        if self.workers is not None or self.backend in _CLUSTERS:
            return self.workers
        return usual if usual and self.backend == "processes" else usable_cores()

    def results(
        self, work: Callable[[Item], Result], items: Sequence[Item], usual: int | None = None
    ) -> AbstractContextManager[Iterator[Result]]:
        """The results of a function for each item, in the items' order, one at a time.

        The function must give the same however often it is called: a cluster repeats the items of
        a worker that was killed. Its files are written whole or not at all.

        Args:
            work: the function. It is pickled, unless this process does the work.
            items: its arguments.
            usual: processes of this machine where `workers` is None; None: one per core.

        Returns:
            A context: inside, the results; at its end, all processes that it started have ended.

        Raises:
            OutputError: inside the context, if workers are killed again and again.
            ConfigError: inside the context, if the cluster does not answer.
        """
        if self.alone(usual):
            return nullcontext(map(work, items))
        number = self._number(usual)
        if self.backend == "processes":
            return process_results(work, items, number or 1)
        from oaa_pl.parallel.engines import engine_results

        return engine_results(self.backend, work, items, number, self.address)


def require_visible(paths: Iterable[Path], what: str) -> None:
    """Check that this machine sees what workers of other machines wrote.

    Args:
        paths: of the files, which the workers reported as written.
        what: they are, in the plural.

    Raises:
        OutputError: if one does not exist here; the first few are named.
    """
    if missing := [str(path) for path in paths if not path.is_file()]:
        raise OutputError(
            f"{len(missing)} {what} were written by workers, but do not exist on this machine: "
            f"{first_few(missing, 3)}; all machines must see this folder under the same path"
        )
