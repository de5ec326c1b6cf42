"""docs/speed.md shows the numbers of benchmarks/results/*.json and no others."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tests.scripts import loaded

ROOT = Path(__file__).parents[1]
TURNS = ROOT / "benchmarks" / "conftest.py"
TABLE = ROOT / "benchmarks" / "table.py"


@pytest.fixture(scope="module")
def table() -> ModuleType:
    return loaded(TABLE)


def group(note: str = "", **line: Any) -> dict[str, Any]:
    known = {"what": "one over two", "sought": ">= 3", "measured": 2.0, "unit": "", "how": "so"}
    machine = {"processor": "P", "cores": 2, "torch": "2", "note": note}
    return {
        "machine_info": {"oaa_pl": machine, "cpu": {"family": 1, "model": 2}},
        "benchmarks": [{"extra_info": {**known, **line}}],
    }


def test_the_table_of_the_page_is_that_of_the_file(table: ModuleType) -> None:
    page = table.PAGE.read_text(encoding="utf-8")
    made = table.filled(page, table.rendered(table.read()))
    assert made == page, "run: python benchmarks/table.py"


def test_every_group_is_a_file_of_lines_that_make_bench_measures(table: ModuleType) -> None:
    folder, makefile = ROOT / "benchmarks", (ROOT / "Makefile").read_text("utf-8")
    files = {path.stem.removeprefix("bench_") for path in folder.glob("bench_*.py")}
    assert set(table.GROUPS) == files == {path.stem for path in folder.glob("results/*.json")}
    assert f"GROUPS ?= {' '.join(table.GROUPS)}\n" in makefile


def test_each_number_is_of_a_line_that_exists(table: ModuleType) -> None:
    for group, found in table.read().items():
        lines = (ROOT / "benchmarks" / f"bench_{group}.py").read_text("utf-8")
        assert found["benchmarks"]
        for one in found["benchmarks"]:
            assert f"def {one['name'].partition('[')[0]}(" in lines, one["name"]
        assert "node" not in found["machine_info"]  # the machine's name


def test_every_line_has_a_row_in_the_order_of_the_file(table: ModuleType) -> None:
    found = {"a": group(what="first"), "b": group(what="second")}
    rows = [row for row in table.rendered(found).splitlines() if row.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == ["| what", "| first", "| second"]


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ({}, "| one over two | ≥ 3 | 2 | so |"),
        ({"measured": 117.4}, "| one over two | ≥ 3 | 117 | so |"),
        ({"measured": 0.071449}, "| one over two | ≥ 3 | 0.0714 | so |"),
        ({"sought": "<= 5", "unit": "%", "measured": 3.9}, "| one over two | ≤ 5 % | 3.9 % | so |"),
        ({"sought": ""}, "| one over two |  | 2 | so |"),
    ],
)
def test_a_row_has_three_digits_and_a_unit(
    table: ModuleType, line: dict[str, Any], row: str
) -> None:
    assert row in table.rendered({"a": group(**line)}).splitlines()


def test_groups_of_different_runs_name_theirs(table: ModuleType) -> None:
    found = {"a": group(), "b": group(), "c": group(note="beside other work")}
    shown = table.rendered(found)
    assert "- a, b: P (family 1, model 2), 2 cores, torch 2." in shown
    assert "- c: P (family 1, model 2), 2 cores, torch 2; beside other work." in shown


def test_only_the_part_between_the_marks_changes(table: ModuleType) -> None:
    page = (
        "before\n<!-- benchmarks/results: begin -->\nold\n<!-- benchmarks/results: end -->\nafter\n"
    )
    changed = table.filled(page, "new\n")
    assert changed.startswith("before\n<!-- benchmarks/results: begin -->\n")
    assert changed.endswith("<!-- benchmarks/results: end -->\nafter\n")
    assert "new" in changed
    assert "old" not in changed
    assert table.filled(changed, "new\n") == changed


class Counted:
    """What stands for pytest-benchmark: it counts on a clock that only the two ways move."""

    def __init__(self) -> None:
        self.now, self.done = 0.0, ""
        self.extra_info: dict[str, Any] = {}
        self.stats = SimpleNamespace(stats=SimpleNamespace(median=0.0))

    def way(self, name: str, *seconds: float) -> Callable[[], None]:
        spent = cycle(seconds)

        def work() -> None:
            self.done += name
            self.now += next(spent)

        return work

    def pedantic(
        self, target: Callable[[], object], setup: Callable[[], None] | None = None, rounds: int = 1
    ) -> object:
        times = []
        for _ in range(rounds):
            if setup:
                setup()
            started, result = self.now, target()
            times.append(self.now - started)
        self.stats.stats.median = median(times)
        return result


def test_the_two_ways_take_turns_and_their_medians_are_compared() -> None:
    counted = Counted()
    bench = loaded(TURNS).Bench(counted, lambda: counted.now)
    bench.ratio("a over b", ">= 2", counted.way("a", 6, 6, 99), counted.way("b", 3, 3, 4), "so", 3)
    assert counted.done == "ababab"
    assert counted.extra_info == {
        "what": "a over b", "sought": ">= 2", "measured": 2, "unit": "", "how": "so"
    }  # fmt: skip


def test_short_work_is_warmed_up_and_has_many_turns() -> None:
    counted = Counted()
    turns = loaded(TURNS)
    bench = turns.Bench(counted, lambda: counted.now)
    bench.ratio("a over b", "", counted.way("a", 6), counted.way("b", 3), "")
    assert counted.done == "ab" * 101  # the first turn is not counted
    bench.seconds("c", "", counted.way("c", 7), "")
    assert (counted.extra_info["measured"], counted.extra_info["unit"]) == (7, "s")
    bench.percent("d", "", lambda: 12.5, "")
    assert (counted.extra_info["measured"], counted.extra_info["unit"]) == (12.5, "%")
