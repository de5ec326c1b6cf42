"""docs/speed.md shows the numbers of benchmarks/ratios.json and no others."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.scripts import loaded

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks" / "table.py"


@pytest.fixture(scope="module")
def table() -> ModuleType:
    return loaded(TABLE)


def group(note: str = "", **line: Any) -> dict[str, Any]:
    known = {"what": "one over two", "sought": ">= 3", "measured": 2.0, "unit": "", "how": "so"}
    return {"processor": "P", "cores": 2, "torch": "2", "note": note, "lines": [{**known, **line}]}


def test_the_table_of_the_page_is_that_of_the_file(table: ModuleType) -> None:
    found = json.loads(table.FILE.read_text(encoding="utf-8"))
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.filled(page, table.rendered(found)) == page, "run: python benchmarks/table.py"


def test_every_line_has_a_row_in_the_order_of_the_file(table: ModuleType) -> None:
    found = {"groups": {"a": group(what="first"), "b": group(what="second")}}
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
    assert row in table.rendered({"groups": {"a": group(**line)}}).splitlines()


def test_groups_of_different_runs_name_theirs(table: ModuleType) -> None:
    found = {"groups": {"a": group(), "b": group(), "c": group(note="beside other work")}}
    shown = table.rendered(found)
    assert "- a, b: P, 2 cores, torch 2." in shown
    assert "- c: P, 2 cores, torch 2; beside other work." in shown


def test_only_the_part_between_the_marks_changes(table: ModuleType) -> None:
    page = "before\n<!-- ratios.json: begin -->\nold\n<!-- ratios.json: end -->\nafter\n"
    changed = table.filled(page, "new\n")
    assert changed.startswith("before\n<!-- ratios.json: begin -->\n")
    assert changed.endswith("<!-- ratios.json: end -->\nafter\n")
    assert "new" in changed
    assert "old" not in changed
    assert table.filled(changed, "new\n") == changed
