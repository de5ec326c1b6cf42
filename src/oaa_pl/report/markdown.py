"""The tables of a run as Markdown, so that a README quotes a results file and never a memory."""

from collections.abc import Mapping, Sequence

from oaa_pl.report.cell import deviation_text, signed
from oaa_pl.report.effect_table import paired_difference
from oaa_pl.report.paper import EFFECTS, METHODS, TABLE_2, title_of
from oaa_pl.report.results import Estimate, Key, Row, summary

__all__ = ["METRICS", "markdown_tables"]

METRICS = {
    "attention/miou": "attention mIoU",
    "attention/recall": "attention recall",
    "proxy/miou_hard": "proxy mIoU, hard",
    "segmentation/miou": "segmentation mIoU",
}
"""What the tables show: metric -> heading."""

_EFFECT_METRICS = ("attention/recall", "proxy/miou_hard", "segmentation/miou")


def markdown_tables(rows: Sequence[Row]) -> str:
    """The method table and the effects beside the paper's, as two Markdown tables.

    Args:
        rows: results of one experiment on one data set.

    Returns:
        Markdown text: percentages, mean ± sample deviation over seeds where there are several;
        a dash where nothing was measured.

    Raises:
        ConfigError: if a seed occurs twice for one measurement.
    """
    estimates = summary(rows)
    split_of = {key.metric: key.split for key in estimates if key.metric in METRICS}
    lines = [
        f"| method | paper, VOC val | {' | '.join(METRICS.values())} |",
        _rule(len(METRICS) + 2),
    ]
    measured = {key.method for key in estimates if key.metric in METRICS}
    for method in [*METHODS, *sorted(measured - set(METHODS))]:
        cells = [
            _value(estimates.get(Key(split_of.get(metric, ""), method, metric)))
            for metric in METRICS
        ]
        paper = TABLE_2.get(method, "–")
        lines.append(f"| {title_of(method)} | {paper} | {' | '.join(cells)} |")
    headings = " | ".join(METRICS[metric] for metric in _EFFECT_METRICS)
    lines += ["", f"| effect | paper | {headings} |", _rule(len(_EFFECT_METRICS) + 2)]
    for effect in EFFECTS:
        cells = [
            _difference(estimates, split_of.get(metric, ""), effect.better, effect.baseline, metric)
            for metric in _EFFECT_METRICS
        ]
        lines.append(f"| {effect.title} | {signed(effect.points)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _rule(columns: int) -> str:
    return "|---" + "|---:" * (columns - 1) + "|"


def _value(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    return f"{estimate.mean:.1f} {deviation_text(estimate)}".rstrip()


def _difference(
    estimates: Mapping[Key, Estimate], split: str, better: str, baseline: str, metric: str
) -> str:
    """Paired over seeds: what a seed does to both methods cancels out."""
    found = paired_difference(estimates, Key(split, better, metric), Key(split, baseline, metric))
    if found is None:
        return "–"
    return f"{signed(found.mean)} {deviation_text(found)}".rstrip()
