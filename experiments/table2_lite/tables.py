"""Print the tables of README.md and docs/results.md, from the CSV files of this folder.

Run it as `python experiments/table2_lite/tables.py`.
"""

import csv
import statistics
import sys
from pathlib import Path

from oaa_pl.report.paper import EFFECTS, paper_number, title_of

HERE = Path(__file__).parent
METHODS = (
    "tags_hard", "cam", "oaa_mean", "oaa_max", "oaa_plus_mce", "oaa_plus_hybrid", "true_masks",
)  # fmt: skip
TITLES = {"true_masks": "true masks", "tags_hard": "control: tags and saliency, no attention"}
PAIRS = (
    *((effect.better, effect.baseline) for effect in EFFECTS),
    ("oaa_plus_hybrid", "tags_hard"),
)
SHORT = {
    "cam": "CAM", "oaa_mean": "mean", "oaa_max": "maximum", "oaa_plus_mce": "cross-entropy",
    "oaa_plus_hybrid": "hybrid", "tags_hard": "control",
}  # fmt: skip


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of this folder; none if it is not there yet."""
    path = HERE / name
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def scores(name: str) -> dict[str, list[float]]:
    """Segmentation mIoU on `val_dev`, per cent: method -> one value for each seed."""
    found: dict[str, list[float]] = {}
    for row in rows(name):
        if (row["split"], row["metric"]) == ("val_dev", "segmentation/miou"):
            found.setdefault(row["method"], []).append(float(row["value"]))
    return found


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
    heads, whole = scores("frozen_head.csv"), scores("segmenters.csv")
    seeds = max(map(len, heads.values()))
    lines = [f"| method | paper, VOC val | frozen head, {seeds} seeds | full segmenter, seed 0 |"]
    lines += ["|---|---:|---:|---:|"]
    for name in METHODS:
        paper = paper_number(name)
        ours = level(whole.get("masks" if name == "true_masks" else name, []))
        title = TITLES.get(name) or title_of(name)
        lines.append(f"| {title} | {paper or '–'} | {level(heads.get(name, []))} | {ours} |")
    known = {(row["method"], row["minus"]): row for row in rows("paired.csv")}
    papers = {(effect.better, effect.baseline): effect.points for effect in EFFECTS}
    lines += ["", "| effect | paper | frozen head [95 %] | full segmenter, seed 0 |"]
    lines += ["|---|---:|---:|---:|"]
    for pair in PAIRS:
        row, paper = known[pair], papers.get(pair)
        ours, low, high = (signed(float(row[key])) for key in ("difference", "low", "high"))
        both = [whole[name][0] for name in pair if name in whole]
        single = signed(both[0] - both[1]) if len(both) == 2 else "–"
        effect = " − ".join(SHORT[name] for name in pair)
        shown = "–" if paper is None else signed(paper)
        lines.append(f"| {effect} | {shown} | {ours} [{low}, {high}] | {single} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(f"{tables()}\n")
