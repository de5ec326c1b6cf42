"""How a line of the table is measured: two ways to do the same work, in turns.

pytest-benchmark times the second way. Before each of its rounds the first way takes its turn: other
work on the machine slows both.
"""

import logging
import statistics
import time
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch

from oaa_pl.machine import keep_freed_memory, usable_cores
from oaa_pl.nets.processor import processor_name

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

Work = Callable[[], object]

_LEAST, _MOST = 5, 100  # turns
_SECONDS = 5.0  # that the turns take, if there are enough of them

_shown: list[str] = []  # lines, for the end of the run


class Bench:
    """Measures one line, and keeps it with pytest-benchmark's numbers.

    Args:
        benchmark: pytest-benchmark's fixture, unused.
        clock: of both ways: of the wall, or of the processor, which does not count other programs.
    """

    def __init__(self, benchmark: "BenchmarkFixture", clock: Callable[[], float]) -> None:
        self._benchmark = benchmark
        self._clock = clock

    def ratio(
        self, what: str, sought: str, first: Work, second: Work, how: str, turns: int | None = None
    ) -> None:
        """The median time of one way over that of another.

        Args:
            what: is compared, first way over second.
            sought: of the ratio, ">= 2"; empty: nothing.
            first: one way.
            second: the other way.
            how: what a reader must know of it.
            turns: for work of several seconds; None: at least 5 after a warm-up, and 5 s of them.
        """
        times: list[float] = []

        def first_way() -> None:
            started = self._clock()
            first()
            times.append(self._clock() - started)

        rounds = turns or self._warmed_up(first, second)
        self._benchmark.pedantic(second, setup=first_way, rounds=rounds)
        self._keep(what, sought, statistics.median(times) / self._median, how)

    def seconds(self, what: str, sought: str, work: Work, how: str) -> None:
        """The median time of one way."""
        self._benchmark.pedantic(work, rounds=self._warmed_up(work))
        self._keep(what, sought, self._median, how, "s")

    def percent(self, what: str, sought: str, work: Callable[[], float], how: str) -> None:
        """What the work itself measures."""
        self._keep(what, sought, self._benchmark.pedantic(work), how, "%")

    @property
    def _median(self) -> float:
        return float(self._benchmark.stats.stats.median)

    def _warmed_up(self, *works: Work) -> int:
        """Do each once; how many turns they should have."""
        started = time.perf_counter()
        for work in works:
            work()
        spent = time.perf_counter() - started
        return min(_MOST, max(_LEAST, int(_SECONDS / spent)))

    def _keep(self, what: str, sought: str, value: float, how: str, unit: str = "") -> None:
        line = {"what": what, "sought": sought, "measured": value, "unit": unit, "how": how}
        self._benchmark.extra_info.update(line)
        _shown.append(f"{what:<96} {sought:>8} {value:>10.4g} {unit}")


@pytest.fixture
def bench(benchmark: "BenchmarkFixture", request: pytest.FixtureRequest) -> Bench:
    """Measures the line of a test, by the clock of its mark `benchmark(timer=...)`."""
    mark = request.node.get_closest_marker("benchmark")
    return Bench(benchmark, mark.kwargs["timer"] if mark else time.perf_counter)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--note", default="", help="kept with the numbers: what else ran, say")


def pytest_configure() -> None:
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)  # processor time would count the waiting of a second thread
    keep_freed_memory()  # as every command does


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _shown:
        terminalreporter.write_line(line)


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: MutableMapping[str, Any]
) -> None:
    for private in ("node", "release"):  # the machine's name, and its system's
        machine_info.pop(private, None)
    machine_info["oaa_pl"] = {
        "processor": processor_name(), "cores": usable_cores(), "torch": torch.__version__,
        "numpy": np.__version__, "note": config.getoption("note"),
    }  # fmt: skip
