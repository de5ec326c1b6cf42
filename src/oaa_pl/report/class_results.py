"""The long tables of scores of each class, and of confusion matrices, beside `results.csv`.

    classes.csv     experiment,seed,dataset,split,stage,method,class,metric,value
    confusion.csv   experiment,seed,dataset,split,stage,method,truth,prediction,pixels

IoU, precision and recall are percentages in [0, 100]. Pixels per hit (`fp_per_tp`, `fn_per_tp`),
and their means over the foreground classes (`m_fp`, `m_fn`, with an empty class), are ratios: 0 or
more, `inf` without a hit. An undefined score is `nan`.

Shapes: C foreground classes.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from oaa_pl.files.atomic import write_whole
from oaa_pl.files.csv_text import csv_text
from oaa_pl.metrics import activation, class_scores

__all__ = ["Scored", "collect_class_results", "write_class_results"]

_TABLES = {
    "classes.csv": ("class", "metric", "value"),
    "confusion.csv": ("truth", "prediction", "pixels"),
}
_PERCENT = ("iou", "precision", "recall")


class Scored(NamedTuple):
    """What was scored: the first columns of both tables, as in `results.Row`."""

    experiment: str
    seed: int
    dataset: str
    split: str
    stage: str
    method: str


def write_class_results(
    folder: Path, scored: Scored, confusion: Tensor, classes: Sequence[str]
) -> None:
    """Write both tables of one result.

    Args:
        folder: where they go.
        scored: what was scored.
        confusion: pixels counted by (truth, prediction), int64, (C + 1, C + 1).
        classes: names of the C foreground classes.

    Raises:
        OutputError: if a table cannot be written.
    """
    names = ("background", *classes)
    counts = confusion.cpu()
    lines: list[tuple[object, ...]] = []
    for metric, values in class_scores(counts)._asdict().items():
        scale = 100 if metric in _PERCENT else 1
        lines += [
            (name, metric, f"{scale * value:.4f}")
            for name, value in zip(names, values.tolist(), strict=True)
        ]
    for metric, mean in zip(("m_fp", "m_fn"), activation(counts), strict=True):
        lines.append(("", metric, f"{float(mean):.4f}"))
    _write(folder / "classes.csv", [(*scored, *line) for line in lines])
    pairs = [
        (true, found, count)
        for true, row in zip(names, counts.tolist(), strict=True)
        for found, count in zip(names, row, strict=True)
    ]
    _write(folder / "confusion.csv", [(*scored, *pair) for pair in pairs])


def collect_class_results(run_root: Path) -> None:
    """Gather both tables of every finished stage; stages of older versions have none.

    Args:
        run_root: folder of one experiment, with `seed-<s>/<stage>/...`.

    Raises:
        OutputError: if a table cannot be written.
    """
    for name, columns in _TABLES.items():
        found = sorted(
            path for path in run_root.rglob(name) if path.with_name("done.json").is_file()
        )
        rows: list[Sequence[object]] = []
        for path in found:
            header, *lines = csv.reader(io.StringIO(path.read_text("utf-8"), newline=""))
            if tuple(header) == _header(columns):
                rows += lines
        if rows:
            _write(run_root / name, rows)


def _header(columns: Sequence[str]) -> tuple[str, ...]:
    return (*Scored._fields, *columns)


def _write(path: Path, rows: Sequence[Sequence[object]]) -> None:
    write_whole(path, csv_text(_header(_TABLES[path.name]), rows).encode())
