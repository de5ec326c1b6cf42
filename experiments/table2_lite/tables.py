"""Print the tables of README.md and docs/results.md, from the CSV files of this folder.

Run it as `python experiments/table2_lite/tables.py`.
"""

import csv
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

from oaa_pl.report.paper import EFFECTS, paper_number, title_of

HERE = Path(__file__).parent
METHODS = (
    "tags_hard", "cam", "cam_probability", "oaa_mean", "oaa_max", "oaa_plus_mce",
    "oaa_plus_hybrid", "masks",
)  # fmt: skip
TITLES = {"masks": "true masks", "tags_hard": "control: tags and saliency, no attention"}
PAIRS = (
    *((effect.better, effect.baseline) for effect in EFFECTS),
    ("oaa_plus_hybrid", "cam_probability"),
    ("oaa_plus_hybrid", "tags_hard"),
)
SHORT = {
    "cam": "CAM", "cam_probability": "CAM as a probability", "oaa_mean": "mean",
    "oaa_max": "maximum", "oaa_plus_mce": "cross-entropy", "oaa_plus_hybrid": "hybrid",
    "tags_hard": "control",
}  # fmt: skip


class Column(NamedTuple):
    """One way to make labels and to learn from them.

    Attributes:
        title: in the tables.
        file: of its scores; its differences are in the file with `_differences` in its name.
        head: what learns from the labels, as segmenters' names end.
    """

    title: str
    file: str
    head: str


COLUMNS = (
    Column("the release's rule for labels, frozen head", "norms", "frozen_head"),
    Column("our recipe, frozen head", "recipe", "frozen_head"),
    Column("our recipe, tuned head", "recipe", "tuned_head"),
)


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def scores(path: Path, head: str) -> dict[str, list[float]]:
    """Segmentation mIoU on `val_dev`, per cent: method -> one value for each seed."""
    found: dict[str, list[float]] = {}
    for row in rows(path):
        name, _, what = row["method"].partition("-")
        if (row["split"], row["metric"], what) == ("val_dev", "segmentation/miou", head):
            found.setdefault(name, []).append(float(row["value"]))
    return found


def differences(path: Path, head: str) -> dict[tuple[str, str], str]:
    """Difference and 95 % interval on `val_dev`, of both methods' names."""
    return {
        (row["method"].partition("-")[0], row["minus"].partition("-")[0]): "{} [{}, {}]".format(
            *(signed(float(row[key])) for key in ("difference", "low", "high"))
        )
        for row in rows(path)
        if row["split"] == "val_dev" and row["method"].endswith(f"-{head}") and not row["variant"]
    }


def most_seeds(path: Path, head: str) -> int:
    """Seeds of the difference that has most."""
    return max(int(row["seeds"]) for row in rows(path) if row["method"].endswith(f"-{head}"))


def level(values: list[float]) -> str:
    """Mean ± sample deviation, or one value."""
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def signed(value: float) -> str:
    """A difference in percentage points, with a typographic minus."""
    return f"{value:+.1f}".replace("-", "−") if round(value, 1) else "0.0"


def tables() -> str:
    """Levels of every method, then the effects with their intervals, as Markdown."""
    levels = [scores(HERE / f"{one.file}.csv", one.head) for one in COLUMNS]
    found = [differences(HERE / f"{one.file}_differences.csv", one.head) for one in COLUMNS]
    seeds = [len(one["oaa_plus_hybrid"]) for one in levels]
    columns = " | ".join(f"{c.title}, {n} seeds" for c, n in zip(COLUMNS, seeds, strict=True))
    rule = "|---|---:" + "|---:" * len(COLUMNS) + "|"
    lines = [f"| method | paper, VOC val | {columns} |", rule]
    for name in METHODS:
        cells = " | ".join(level(one.get(name, [])) for one in levels)
        title = TITLES.get(name) or title_of(name)
        lines.append(f"| {title} | {paper_number(name) or '–'} | {cells} |")
    compared = [most_seeds(HERE / f"{one.file}_differences.csv", one.head) for one in COLUMNS]
    columns = " | ".join(f"{c.title}, {n} seeds" for c, n in zip(COLUMNS, compared, strict=True))
    papers = {(effect.better, effect.baseline): effect.points for effect in EFFECTS}
    lines += ["", f"| effect | paper | {columns} |", rule]
    for pair in PAIRS:
        effect = " − ".join(SHORT[name] for name in pair)
        paper = signed(papers[pair]) if pair in papers else "–"
        lines.append(f"| {effect} | {paper} | {' | '.join(one.get(pair, '–') for one in found)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(f"{tables()}\n")
