"""The table of docs/speed.md, from ratios.json: `python benchmarks/table.py`.

The page's numbers come from the file alone; a test compares the two.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["FILE", "PAGE", "filled", "rendered", "write_table"]

FILE = Path(__file__).parent / "ratios.json"
PAGE = FILE.parents[1] / "docs" / "speed.md"
_BEGIN, _END = "<!-- ratios.json: begin -->\n", "<!-- ratios.json: end -->\n"
_SIGNS = {"<=": "≤", ">=": "≥"}


def rendered(found: Mapping[str, Any]) -> str:
    """The table as Markdown, and a line for each run of the measurements.

    Args:
        found: the content of ratios.json.
    """
    rows = ["| what | sought | measured | how |", "|---|---:|---:|---|"]
    runs: dict[str, list[str]] = {}
    for name, group in found["groups"].items():
        rows += map(_row, group["lines"])
        note = f"; {group['note']}" if group["note"] else ""
        run = f"{group['processor']}, {group['cores']} cores, torch {group['torch']}{note}"
        runs.setdefault(run, []).append(name)
    of_all = len(runs) == 1
    lines = [f"- {'all' if of_all else ', '.join(names)}: {run}." for run, names in runs.items()]
    return "\n".join([*rows, "", "Where each group of lines was measured:", "", *lines, ""])


def filled(page: str, table: str) -> str:
    """A page whose part between the two marks is the table.

    Args:
        page: has each mark once.
        table: as Markdown.
    """
    before, rest = page.split(_BEGIN)
    _, after = rest.split(_END)
    return f"{before}{_BEGIN}\n{table}\n{_END}{after}"


def write_table() -> None:
    """Write the table of ratios.json into docs/speed.md."""
    found = json.loads(FILE.read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled(page, rendered(found)), encoding="utf-8")


def _row(line: Mapping[str, Any]) -> str:
    unit = f" {line['unit']}" if line["unit"] else ""
    sign, _, bound = line["sought"].partition(" ")
    sought = f"{_SIGNS[sign]} {bound}{unit}" if sign else ""
    return f"| {line['what']} | {sought} | {_number(line['measured'])}{unit} | {line['how']} |"


def _number(value: float) -> str:
    """Three digits: 0.0714, 1.02, 117."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    write_table()
