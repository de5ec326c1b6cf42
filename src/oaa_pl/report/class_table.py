"""Scores of each class on the page: IoU of every method, and one method's confusion matrix.

Shapes: M methods, C foreground classes.
"""

import csv
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oaa_pl.report.methods import methods
from oaa_pl.report.paper import title_of

__all__ = ["ClassTable", "class_table"]

# The last stage that was scored is shown.
_STAGES = {"segmenter": "segmentations", "labels": "proxy labels", "attention": "attention maps"}
_RATIOS = {"m_fp": "over-activation m_FP", "m_fn": "under-activation m_FN"}


@dataclass(frozen=True, slots=True)
class ClassTable:
    """What the page shows of each class.

    Attributes:
        stage: what was scored: "segmentations", ...
        split: the split.
        titles: of the M methods.
        rows: name of a class, or of a mean ratio, and M numbers as text; a dash where undefined.
        confused: title of the method whose confusion matrix follows.
        names: classes that occur in it, background first.
        shares: rows of the truth: per cent of its pixels by prediction, as text.
        methods: names of the M methods.
        iou: name of a class, background first, and IoU of M methods, in percent or NaN.
    """

    stage: str
    split: str
    titles: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    confused: str
    names: tuple[str, ...]
    shares: tuple[tuple[str, ...], ...]
    methods: tuple[str, ...]
    iou: tuple[tuple[str, tuple[float, ...]], ...]


def class_table(folder: Path) -> ClassTable | None:
    """The table of a run's furthest scored stage, averaged over its seeds.

    Args:
        folder: of the run, with `classes.csv` and `confusion.csv`.

    Returns:
        The table; None for a run of an older version, or without scores.
    """
    scores, counts = _read(folder / "classes.csv"), _read(folder / "confusion.csv")
    stage = next((one for one in _STAGES if any(row["stage"] == one for row in scores)), None)
    if stage is None:
        return None
    rows = [row for row in scores if row["stage"] == stage]
    order = [name for name in methods() if any(row["method"] == name for row in rows)]
    order += sorted({row["method"] for row in rows} - set(order))
    cells: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        cells[row["class"], row["metric"], row["method"]].append(float(row["value"]))
    names = list(dict.fromkeys(row["class"] for row in rows if row["class"]))
    iou = [(name, tuple(_mean(cells[name, "iou", one]) for one in order)) for name in names]
    lines = [(name, tuple(_text(value) for value in values)) for name, values in iou]
    lines += [
        (title, tuple(_text(_mean(cells["", metric, one]), 2) for one in order))
        for metric, title in _RATIOS.items()
    ]
    shown, shares = _shares(
        [row for row in counts if (row["stage"], row["method"]) == (stage, order[-1])], names
    )
    titles = tuple(title_of(name) for name in order)
    return ClassTable(
        stage=_STAGES[stage],
        split=rows[0]["split"],
        titles=titles,
        rows=tuple(lines),
        confused=titles[-1],
        names=shown,
        shares=shares,
        methods=tuple(order),
        iou=tuple(iou),
    )


def _shares(
    rows: Sequence[dict[str, str]], names: Sequence[str]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Classes that occur, and per cent of each true class's pixels by prediction."""
    pixels: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        pixels[row["truth"], row["prediction"]] += int(row["pixels"])
    shown = tuple(
        name for name in names if any(pixels[name, one] or pixels[one, name] for one in names)
    )
    total = {true: sum(pixels[true, found] for found in shown) for true in shown}
    shares = tuple(
        tuple(
            f"{100 * pixels[true, found] / total[true]:.1f}" if total[true] else "–"
            for found in shown
        )
        for true in shown
    )
    return shown, shares


def _mean(values: Sequence[float]) -> float:
    """The mean over seeds; a seed without a value is left out, as in the other tables."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _text(value: float, decimals: int = 1) -> str:
    if math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{value:.{decimals}f}"


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
