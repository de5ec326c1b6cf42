"""The long table of results: one row per measured number, and its mean over seeds.

Columns: experiment, seed, dataset, split, stage, method, metric, value. Metrics are percentages in
[0, 100], except thresholds, which are in [0, 1].
"""

import csv
import io
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.files.atomic import write_whole
from oaa_pl.files.csv_text import csv_text
from oaa_pl.report.class_results import collect_class_results

log = logging.getLogger(__name__)

__all__ = [
    "COLUMNS",
    "Estimate",
    "Key",
    "Row",
    "collect",
    "read_results",
    "summary",
    "write_rows",
]


@dataclass(frozen=True, order=True, slots=True)
class Row:
    """One measured number.

    Attributes:
        experiment: name of the run folder, such as `synthetic`.
        seed: seed of the run, which pairs the methods with each other.
        dataset: name of the data set, such as `voc12`.
        split: split that was measured, such as `val`.
        stage: stage that was measured: `attention`, `labels`, `segmenter`, ...
        method: `cam`, `oaa_mean`, `oaa_max`, `oaa_plus_mce`, `oaa_plus_hybrid` or
            `oaa_plus_pooled`; empty where the number belongs to no method.
        metric: what was measured, such as `segmentation/miou`.
        value: percentage in [0, 100], threshold in [0, 1], or NaN where undefined.
    """

    experiment: str
    seed: int
    dataset: str
    split: str
    stage: str
    method: str
    metric: str
    value: float


COLUMNS = tuple(field.name for field in fields(Row))


class Key(NamedTuple):
    """What an estimate over seeds is an estimate of."""

    split: str
    method: str
    metric: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: mean over the seeds, in the metric's unit.
        deviation: sample standard deviation (divisor n - 1), or None for a single seed.
        by_seed: (seed, value), seeds ascending.
    """

    mean: float
    deviation: float | None
    by_seed: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, by_seed: Mapping[int, float]) -> "Estimate":
        """Estimate from one value per seed, one seed or more; NaN if it is so for every seed.

        A seed whose value is undefined (NaN) is left out where another has one: it would take the
        others' mean away, and `n` tells that it lacks.
        """
        defined = {seed: value for seed, value in by_seed.items() if not math.isnan(value)}
        pairs = tuple(sorted((defined or by_seed).items()))
        values = [value for _, value in pairs]
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(float(np.mean(values)), deviation, pairs)

    @property
    def n(self) -> int:
        """Number of seeds, 1 or more."""
        return len(self.by_seed)


def read_results(path: Path) -> list[Row]:
    """Read a results table.

    Args:
        path: a CSV file with the columns of `COLUMNS`, in that order.

    Returns:
        Its rows, in the file's order.

    Raises:
        MissingInputError: if there is no such file.
        ConfigError: if the header or a row is malformed; the message has file and line.
    """
    try:
        # utf-8-sig: a spreadsheet that saved the file has put a byte-order mark before it.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise MissingInputError(f"no results at {path}; run `oaa evaluate` first") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected UTF-8 text: {error}; write the file again") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    rows: list[Row] = []
    try:
        header = next(reader, [])
        if tuple(header) != COLUMNS:
            raise ConfigError(
                f"{path}, line 1: expected the columns {','.join(COLUMNS)}, got {','.join(header)}"
            )
        rows.extend(_parse(path, reader.line_num, record) for record in reader if record)
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num}: {error}; repair the row") from error
    return rows


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a results table: sorted, LF line ends, four decimals; equal rows make equal bytes.

    Args:
        path: the CSV file; it appears whole or not at all.
        rows: in any order.

    Raises:
        ConfigError: if a value is infinite, or two rows are the same measurement.
        OutputError: if the file cannot be written.
    """
    ordered = sorted(rows)
    for before, row in pairwise(ordered):
        if astuple(before)[:-1] == astuple(row)[:-1]:
            raise ConfigError(
                f"rows: expected one value per measurement, got {before.value} and {row.value} for "
                f"{', '.join(map(str, astuple(row)[:-1]))}; remove one of the two stages"
            )
    for row in ordered:
        if math.isinf(row.value):
            raise ConfigError(f"rows: expected a finite {row.metric}, got {row.value}")
    # + 0.0 turns a negative zero into the zero it would be read back as.
    texts = [(*astuple(row)[:-1], f"{round(row.value, 4) + 0.0:.4f}") for row in ordered]
    write_whole(path, csv_text(COLUMNS, texts).encode())


def collect(run_root: Path) -> list[Row]:
    """Gather the metrics of every finished stage into `<run_root>/results.csv`.

    Scores of each class go to `classes.csv` and `confusion.csv` beside it.

    Only a `metrics.csv` that has a `done.json` beside it counts: an interrupted stage's numbers,
    and the training logs of the same name, are left out. A table that cannot be read, such as one
    of another program, is named in a warning and skipped.

    Args:
        run_root: folder of one experiment, holding `seed-<s>/<stage>/...`.

    Returns:
        The rows, sorted as in the file.

    Raises:
        MissingInputError: if no finished stage has metrics.
        ConfigError: if a measurement occurs twice.
        OutputError: if the table cannot be written.
    """
    tables = sorted(
        path for path in run_root.rglob("metrics.csv") if path.with_name("done.json").is_file()
    )
    rows = sorted(row for path in tables for row in _readable(path))
    if not rows:
        raise MissingInputError(
            f"no finished stage with metrics under {run_root}; run `oaa evaluate` first"
        )
    write_rows(run_root / "results.csv", rows)
    collect_class_results(run_root)
    return rows


def summary(rows: Iterable[Row]) -> dict[Key, Estimate]:
    """Mean and sample deviation over seeds of every (split, method, metric).

    Args:
        rows: the rows of one experiment on one data set.

    Returns:
        One estimate per key, keys sorted.

    Raises:
        ConfigError: if a seed occurs twice under one key, which happens where the rows of several
            experiments or data sets are mixed.
    """
    groups: dict[Key, dict[int, float]] = {}
    for row in rows:
        group = groups.setdefault(Key(row.split, row.method, row.metric), {})
        if row.seed in group:
            raise ConfigError(
                f"rows: expected one {row.metric} of {row.method} on {row.split} per seed, got two "
                f"for seed {row.seed}; summarise one experiment and one data set at a time"
            )
        group[row.seed] = row.value
    return {key: Estimate.of(groups[key]) for key in sorted(groups)}


def _readable(path: Path) -> list[Row]:
    """The rows of a table; none, and a warning, if it is not one of ours."""
    try:
        return read_results(path)
    except (ConfigError, OSError) as error:
        log.warning("skipped: %s", error)
        return []


def _parse(path: Path, line: int, record: Sequence[str]) -> Row:
    where, cure = f"{path}, line {line}: expected", "repair the row"
    if len(record) != len(COLUMNS):
        raise ConfigError(f"{where} {len(COLUMNS)} fields, got {len(record)}; {cure}")
    experiment, seed, dataset, split, stage, method, metric, value = record
    try:
        row = Row(experiment, int(seed), dataset, split, stage, method, metric, float(value))
    except ValueError as error:
        raise ConfigError(
            f"{where} an integer seed and a number as value, got {seed!r} and {value!r}; {cure}"
        ) from error
    if math.isinf(row.value):
        raise ConfigError(f"{where} a finite value, got {value!r}")
    return row
