"""What a sweep found: each job's scores over its seeds, and how far they are from the highest.

Differences are paired by seed: what a seed does to both jobs cancels out.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oaa_pl.files.csv_text import csv_text
from oaa_pl.report.cell import deviation_text, mean_text, signed
from oaa_pl.report.markdown import METRICS
from oaa_pl.report.results import Estimate, Row

__all__ = ["Line", "lines_of", "sweep_csv", "sweep_markdown"]

_COLUMNS = (
    "experiment", "dataset", "split", "method", "metric", "seeds", "mean", "deviation",
    "highest", "difference", "difference_deviation", "pairs",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One score of one job, over its seeds.

    Attributes:
        experiment: of the job, with what the sweep varies.
        dataset: name of the data set.
        split: that was measured.
        method: of the score; empty: the classifier's.
        metric: what was measured.
        score: over the seeds.
        highest: experiment and method with the highest mean of the same metric.
        difference: to it, paired by seed; None for the highest itself, and without a common seed.
    """

    experiment: str
    dataset: str
    split: str
    method: str
    metric: str
    score: Estimate
    highest: str
    difference: Estimate | None


def lines_of(rows: Iterable[Row]) -> list[Line]:
    """Mean, deviation and paired difference of every score, sorted by metric and mean.

    Args:
        rows: results of any number of experiments.
    """
    groups: dict[tuple[str, str, str], dict[tuple[str, str], dict[int, float]]] = defaultdict(dict)
    for row in rows:
        group = groups[row.dataset, row.split, row.metric]
        group.setdefault((row.experiment, row.method), {})[row.seed] = row.value
    lines = []
    for (dataset, split, metric), jobs in sorted(groups.items()):
        scores = {job: Estimate.of(by_seed) for job, by_seed in jobs.items()}
        order = sorted(scores, key=lambda job: (-_or_lowest(scores[job].mean), job))
        best = order[0]
        for job in order:
            pairs = {
                seed: value - jobs[best][seed]
                for seed, value in jobs[job].items()
                if seed in jobs[best]
            }
            difference = Estimate.of(pairs) if job != best and pairs else None
            lines.append(
                Line(job[0], dataset, split, job[1], metric, scores[job], _name(*best), difference)
            )
    return lines


def sweep_csv(lines: Sequence[Line]) -> str:
    """The lines as CSV: percentages in [0, 100], thresholds in [0, 1], four decimals."""
    rows = []
    for line in lines:
        pairs, difference, deviation = _numbers(line.difference)
        rows.append((
            line.experiment, line.dataset, line.split, line.method, line.metric,
            *_numbers(line.score), line.highest, difference, deviation, pairs,
        ))  # fmt: skip
    return csv_text(_COLUMNS, rows)


def sweep_markdown(lines: Sequence[Line]) -> str:
    """A table for each of the scores that the report shows, the highest mean first."""
    texts = []
    for metric, title in (METRICS | {"classification/map": "classifier mAP"}).items():
        shown = [line for line in lines if line.metric == metric]
        if not shown:
            continue
        texts += [f"| {title} | seeds | mean | difference to the highest, paired by seed |"]
        texts += ["|---|---:|---:|---:|"]
        texts += [
            f"| {_name(line.experiment, line.method)} | {line.score.n} | {_text(line.score)} | "
            f"{'–' if line.difference is None else _difference(line.difference)} |"
            for line in shown
        ]
        texts.append("")
    return "\n".join(texts)


def _or_lowest(mean: float) -> float:
    return -math.inf if math.isnan(mean) else mean


def _name(experiment: str, method: str) -> str:
    return f"{experiment} {method}".rstrip()


def _numbers(one: Estimate | None) -> tuple[str, str, str]:
    """Number of seeds, mean, deviation; empty where undefined."""
    if one is None:
        return "", "", ""
    deviation = "" if one.deviation is None else f"{one.deviation:.4f}"
    return str(one.n), f"{one.mean:.4f}", deviation


def _text(one: Estimate) -> str:
    return f"{mean_text(one)} {deviation_text(one)}".rstrip()


def _difference(one: Estimate) -> str:
    return f"{signed(one.mean)} {deviation_text(one)}".rstrip()
