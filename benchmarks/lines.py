"""A line of the table of ratios: two ways to do the same work, timed in turns, or one value."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Line", "Value", "Work", "measured"]

Work = Callable[[], object]

_LEAST, _MOST = 5, 100  # turns; work of several seconds has three


class Line(NamedTuple):
    """The time of one way over the time of another.

    Attributes:
        what: is compared, first way over second.
        sought: of the ratio; empty: nothing.
        first: one way; None: the line is the time of the second way, in seconds.
        second: the other way.
        how: what a reader must know of it.
        wall: time of a clock, for work in several threads or processes; else processor time.
        turns: at least.
    """

    what: str
    sought: str
    first: Work | None
    second: Work
    how: str = ""
    wall: bool = False
    turns: int = _LEAST


class Value(NamedTuple):
    """A line that is measured in its own way.

    Attributes:
        what: is measured.
        sought: of the value.
        value: measures it.
        how: what a reader must know of it.
        unit: "s" or "%"; empty: a ratio.
    """

    what: str
    sought: str
    value: Callable[[], float]
    how: str = ""
    unit: str = ""


def measured(line: Line | Value, seconds: float) -> dict[str, Any]:
    """A line with its number, as ratios.json has it.

    Args:
        line: what is measured.
        seconds: that the turns take at most, once there are enough of them.
    """
    known: dict[str, Any] = {"what": line.what, "sought": line.sought}
    if isinstance(line, Value):
        return {**known, "measured": line.value(), "unit": line.unit, "how": line.how}
    works = (line.second,) if line.first is None else (line.first, line.second)
    spent = _medians(works, seconds, line.wall, line.turns)
    value, unit = (spent[0] / spent[1], "") if line.first else (spent[0], "s")
    return {**known, "measured": value, "unit": unit, "how": line.how, "seconds": spent,
            "clock": "wall" if line.wall else "processor"}  # fmt: skip


def _medians(works: tuple[Work, ...], seconds: float, wall: bool, turns: int) -> list[float]:
    """Median time of each, in turns: so other work on the machine slows both."""
    clock = time.perf_counter_ns if wall else time.process_time_ns
    times: list[list[float]] = [[] for _ in works]
    for work in works if turns >= _LEAST else ():  # long work hardly notices its first turn
        work()
    begun = time.perf_counter()
    while len(times[0]) < turns or (
        time.perf_counter() - begun < seconds and len(times[0]) < _MOST
    ):
        for work, known in zip(works, times, strict=True):
            start = clock()
            work()
            known.append((clock() - start) / 1e9)
    return [float(np.median(known)) for known in times]
