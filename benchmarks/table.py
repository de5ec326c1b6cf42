"""The table of docs/speed.md, from results/*.json: `python benchmarks/table.py`.

The page's numbers come from these files of pytest-benchmark alone; a test compares them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["GROUPS", "PAGE", "filled", "read", "rendered", "write_table"]

GROUPS = (
    "store", "steps", "epochs", "waiting", "modes", "attend", "labels", "scores", "start",
)  # fmt: skip
PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
_RESULTS = Path(__file__).parent / "results"
_BEGIN, _END = "<!-- benchmarks/results: begin -->\n", "<!-- benchmarks/results: end -->\n"
_SIGNS = {"<=": "≤", ">=": "≥"}


def read() -> dict[str, Any]:
    """The file of every group, by the group's name."""
    return {
        group: json.loads((_RESULTS / f"{group}.json").read_text(encoding="utf-8"))
        for group in GROUPS
    }


def rendered(found: Mapping[str, Any]) -> str:
    """The table as Markdown, and a line for each run of the measurements.

    Args:
        found: the content of pytest-benchmark's file for each group.
    """
    rows = ["| what | sought | measured | how |", "|---|---:|---:|---|"]
    runs: dict[str, list[str]] = {}
    for name, group in found.items():
        rows += [_row(one["extra_info"]) for one in group["benchmarks"]]
        machine, cpu = group["machine_info"]["oaa_pl"], group["machine_info"]["cpu"]
        note = f"; {machine['note']}" if machine["note"] else ""
        kind = f" (family {cpu['family']}, model {cpu['model']})" if "family" in cpu else ""
        processor = f"{machine['processor']}{kind}"
        run = f"{processor}, {machine['cores']} cores, torch {machine['torch']}{note}"
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
    """Write the table into docs/speed.md."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled(page, rendered(read())), encoding="utf-8")


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
