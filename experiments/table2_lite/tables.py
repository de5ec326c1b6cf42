"""Print the tables of README.md and docs/results.md, from the CSVs of table2_lite and table2_all.

Run it as `python experiments/table2_lite/tables.py`.
"""

import csv
import statistics
import sys
from pathlib import Path

from oaa_pl.report.paper import EFFECTS, paper_number, title_of

LITE = Path(__file__).parent
ALL = LITE.parent / "table2_all"
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


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def scores(path: Path) -> dict[str, list[float]]:
    """Segmentation mIoU on `val_dev`, per cent: method -> one value for each seed."""
    found: dict[str, list[float]] = {}
    for row in rows(path):
        if (row["split"], row["metric"]) == ("val_dev", "segmentation/miou"):
            name = "true_masks" if row["method"] == "masks" else row["method"]
            found.setdefault(name, []).append(float(row["value"]))
    return found


def differences(path: Path) -> dict[tuple[str, str], str]:
    """Difference and 95 % interval on `val_dev`, of both methods' names."""
    return {
        (row["method"], row["minus"]): "{} [{}, {}]".format(
            *(signed(float(row[key])) for key in ("difference", "low", "high"))
        )
        for row in rows(path)
        if row.get("split", "val_dev") == "val_dev"
    }


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
    heads, whole = scores(LITE / "frozen_head.csv"), scores(ALL / "results.csv")
    columns = (
        f"1,000 photos, frozen head, {max(map(len, heads.values()))} seeds | all photos, segmenter"
    )
    lines = [f"| method | paper, VOC val | {columns} |", "|---|---:|---:|---:|"]
    for name in METHODS:
        levels = " | ".join(level(found.get(name, [])) for found in (heads, whole))
        title = TITLES.get(name) or title_of(name)
        lines.append(f"| {title} | {paper_number(name) or '–'} | {levels} |")
    papers = {(effect.better, effect.baseline): effect.points for effect in EFFECTS}
    found = differences(LITE / "paired.csv"), differences(ALL / "differences.csv")
    lines += ["", f"| effect | paper | {columns} |", "|---|---:|---:|---:|"]
    for pair in PAIRS:
        effect = " − ".join(SHORT[name] for name in pair)
        paper = signed(papers[pair]) if pair in papers else "–"
        lines.append(f"| {effect} | {paper} | {' | '.join(one.get(pair, '–') for one in found)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(f"{tables()}\n")
