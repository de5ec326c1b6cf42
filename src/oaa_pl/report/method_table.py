"""The method table: one row per method, our metrics beside the paper's Table 2."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oaa_pl.report.cell import Cell, deviation_text, mean_text
from oaa_pl.report.methods import methods
from oaa_pl.report.paper import paper_number, title_of
from oaa_pl.report.results import Estimate, Key, Row, summary

__all__ = ["Group", "MethodRow", "MethodTable", "OtherRow", "method_table", "other_table"]

_ORACLE_THRESHOLD = "attention/best_threshold"
_GROUPS = (
    ("attention", "Attention maps"),
    ("proxy", "Proxy labels"),
    ("segmentation", "Segmentation"),
)
_COLUMNS = {
    "attention/miou": "mIoU",
    "attention/miou_best": "mIoU, oracle",
    "attention/miou_held_out": "mIoU, held out",
    "attention/precision": "precision",
    "attention/recall": "recall",
    "proxy/miou": "mIoU",
    "proxy/miou_hard": "mIoU, hard",
    "proxy/coverage": "coverage",
    "segmentation/miou": "mIoU",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Columns that are measured on the same thing and split."""

    title: str
    split: str
    metrics: tuple[tuple[str, str], ...]  # (metric, heading)


@dataclass(frozen=True, slots=True)
class MethodRow:
    """One method: the paper's number, and a cell per column of every group."""

    method: str
    title: str
    paper: str
    cells: tuple[Cell, ...]
    measured: bool


@dataclass(frozen=True, slots=True)
class MethodTable:
    """The methods in the order of the paper's Table 2, then any others by name."""

    groups: tuple[Group, ...]
    rows: tuple[MethodRow, ...]


@dataclass(frozen=True, slots=True)
class OtherRow:
    """A metric that has no column of its own, over all methods."""

    metric: str
    split: str
    cells: tuple[Cell, ...]


def method_table(rows: Sequence[Row]) -> MethodTable:
    """One row per method, one column per metric and split, beside the paper's Table 2.

    Args:
        rows: the results of one experiment on one data set.

    Returns:
        The paper's five methods, measured or not, then other methods that were measured.

    Raises:
        ConfigError: if a seed occurs twice (see `results.summary`).
    """
    estimates = summary(rows)
    groups = []
    for prefix, title in _GROUPS:
        metrics = {key.metric for key in estimates if key.metric in _COLUMNS}
        for split in sorted({k.split for k in estimates if k.metric.startswith(f"{prefix}/")}):
            headings = tuple(
                (metric, heading)
                for metric, heading in _COLUMNS.items()
                if metric in metrics
                and metric.startswith(f"{prefix}/")
                and any(key.split == split and key.metric == metric for key in estimates)
            )
            if headings:
                groups.append(Group(title, split, headings))
    measured = {key.method for key in estimates if key.metric in _COLUMNS}
    rows_of = [name for name, one in methods().items() if one.row is not None]
    order = [*rows_of, *sorted(measured - {*rows_of})]
    columns = [(group.split, metric) for group in groups for metric, _ in group.metrics]
    seeds = len({row.seed for row in rows})
    best = {column: _best(estimates, column) for column in columns}
    return MethodTable(
        tuple(groups),
        tuple(
            MethodRow(
                method,
                title_of(method),
                "–" if (paper := paper_number(method)) is None else f"{paper:.1f}",
                tuple(_cell(estimates, Key(s, method, m), seeds, best[s, m]) for s, m in columns),
                method in measured,
            )
            for method in order
        ),
    )


def other_table(rows: Sequence[Row]) -> tuple[tuple[str, ...], tuple[OtherRow, ...]]:
    """Every metric that the method table does not show, so that no result stays hidden.

    Args:
        rows: the results of one experiment on one data set.

    Returns:
        The methods' names, and one row per metric and split with a cell per method.
    """
    estimates = summary(rows)
    shown = {*_COLUMNS, _ORACLE_THRESHOLD}
    rest = [key for key in estimates if key.metric not in shown]
    present = {key.method for key in rest}
    rows_of = [name for name, one in methods().items() if one.row is not None]
    order = [m for m in rows_of if m in present] + sorted(present - {*rows_of})
    seeds = len({row.seed for row in rows})
    pairs = sorted({(key.metric, key.split) for key in rest})
    return tuple(title_of(method) or "all methods" for method in order), tuple(
        OtherRow(
            metric,
            split,
            tuple(_cell(estimates, Key(split, m, metric), seeds, None, 2) for m in order),
        )
        for metric, split in pairs
    )


def _is_control(method: str) -> bool:
    known = methods().get(method)
    return known is not None and known.control


def _best(estimates: Mapping[Key, Estimate], column: tuple[str, str]) -> str | None:
    """Text of a column's highest mean, so that methods that print equal are marked equally."""
    means = [
        estimate.mean
        for key, estimate in estimates.items()
        if (key.split, key.metric) == column and not _is_control(key.method)
    ]
    means = [mean for mean in means if not math.isnan(mean)]
    return f"{max(means):.1f}" if len(means) > 1 else None


def _cell(
    estimates: Mapping[Key, Estimate], key: Key, seeds: int, best: str | None, decimals: int = 1
) -> Cell:
    estimate = estimates.get(key)
    if estimate is None:
        return Cell()
    notes = []
    threshold = estimates.get(key._replace(metric=_ORACLE_THRESHOLD))
    undefined = math.isnan(estimate.mean)
    if key.metric == "attention/miou_best" and threshold is not None and not undefined:
        spread = "" if threshold.deviation is None else f" ± {threshold.deviation:.2f}"
        notes.append(f"at {threshold.mean:.2f}{spread}")
    if undefined:
        notes.append("undefined")
    elif estimate.n != seeds:
        notes.append(f"n = {estimate.n}")
    text = mean_text(estimate, decimals)
    return Cell(
        text=text,
        deviation=deviation_text(estimate, decimals),
        note=", ".join(notes),
        seeds=", ".join(f"seed {seed}: {value:.2f}" for seed, value in estimate.by_seed),
        best=text == best and key.metric != "proxy/coverage" and not _is_control(key.method),
    )
