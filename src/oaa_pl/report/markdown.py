"""The tables of a run as Markdown, so that a README quotes a results file and never a memory."""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from oaa_pl.report.cell import deviation_text, mean_text, signed
from oaa_pl.report.effect_table import paired_difference
from oaa_pl.report.methods import methods
from oaa_pl.report.paper import effects_among, paper_number, title_of
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
        a dash where nothing was measured or the score is undefined. The second table is left out
        if it would be empty.

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
    for method in _rows_of(measured):
        cells = [
            _value(estimates.get(Key(split_of.get(metric, ""), method, metric)))
            for metric in METRICS
        ]
        paper = paper_number(method) or "–"
        lines.append(f"| {title_of(method)} | {paper} | {' | '.join(cells)} |")
    effects = effects_among(measured)
    if not any({effect.better, effect.baseline} <= measured for effect in effects):
        return "\n".join(lines) + "\n"
    headings = " | ".join(METRICS[metric] for metric in _EFFECT_METRICS)
    lines += ["", f"| effect | paper | {headings} |", _rule(len(_EFFECT_METRICS) + 2)]
    for effect in effects:
        cells = [
            _difference(estimates, split_of.get(metric, ""), effect.better, effect.baseline, metric)
            for metric in _EFFECT_METRICS
        ]
        lines.append(f"| {effect.title} | {signed(effect.points)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _rows_of(measured: AbstractSet[str]) -> list[str]:
    """Table 2's methods, measured or not, then others; only its own for a run of another table."""
    rows = [name for name, one in methods().items() if one.row is not None]
    others = sorted(measured - {*rows}, key=_by_share)
    if others and len(measured & {*rows}) <= 1:
        return sorted(measured, key=_by_share)
    return [*rows, *others]


def _by_share(method: str) -> tuple[str, float]:
    """Shares of the images in their order: 5 % before 20 %."""
    share = re.search(r"-([\d.]+)pc", method)
    return (re.sub(r"-[\d.]+pc", "", method), float(share[1]) if share else 100)


def _rule(columns: int) -> str:
    return "|---" + "|---:" * (columns - 1) + "|"


def _value(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    return f"{mean_text(estimate)} {deviation_text(estimate)}".rstrip()


def _difference(
    estimates: Mapping[Key, Estimate], split: str, better: str, baseline: str, metric: str
) -> str:
    """Paired over seeds: what a seed does to both methods cancels out."""
    found = paired_difference(estimates, Key(split, better, metric), Key(split, baseline, metric))
    if found is None:
        return "–"
    return f"{signed(found.mean)} {deviation_text(found)}".rstrip()
