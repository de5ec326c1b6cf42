"""The effect table: the paper's differences between methods beside ours, seed by seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oaa_pl.report.axis import Scale, round_ticks
from oaa_pl.report.cell import Cell, deviation_text, signed
from oaa_pl.report.paper import Effect, effects_among
from oaa_pl.report.results import Estimate, Key, Row, summary

__all__ = ["EffectCell", "EffectRow", "EffectTable", "Mark", "effect_table", "paired_difference"]

_EFFECT_METRICS = {
    "proxy/miou_hard": "Proxy labels, hard mIoU",
    "segmentation/miou": "Segmentation, mIoU",
}
STRIP_WIDTH, STRIP_LANE = 260, 15


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on an effect's strip: `paper`, or ours with its whisker, in drawing coordinates."""

    kind: str
    x: float
    low: float
    high: float
    y: float


@dataclass(frozen=True, slots=True)
class EffectCell:
    """A difference on one metric: its numbers, every seed's, and what they say."""

    cell: Cell
    verdict: str
    tone: str  # "for", "open", "against" or "none": how the style sheet colours the verdict


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One of the paper's effects beside ours."""

    title: str
    paper: str
    cells: tuple[EffectCell, ...]
    marks: tuple[Mark, ...]
    height: int


@dataclass(frozen=True, slots=True)
class EffectTable:
    """All effects over one common axis of percentage points."""

    columns: tuple[tuple[str, str], ...]  # (title, split)
    rows: tuple[EffectRow, ...]
    ticks: tuple[tuple[float, str], ...]
    zero: float
    width: int = STRIP_WIDTH


def effect_table(rows: Sequence[Row]) -> EffectTable | None:
    """The paper's effects beside ours, as paired differences in percentage points.

    Args:
        rows: the results of one experiment on one data set.

    Returns:
        One row per effect; None if no difference can be formed.

    Raises:
        ConfigError: if a seed occurs twice (see `results.summary`).
    """
    estimates = summary(rows)
    effects = effects_among({key.method for key in estimates})
    columns = [
        (split, metric)
        for metric in _EFFECT_METRICS
        for split in sorted({key.split for key in estimates if key.metric == metric})
    ]
    found = {
        effect: [
            paired_difference(
                estimates,
                Key(split, effect.better, metric),
                Key(split, effect.baseline, metric),
            )
            for split, metric in columns
        ]
        for effect in effects
    }
    measured = [one for row in found.values() for one in row if one and not math.isnan(one.mean)]
    if not measured:
        return None
    ends = [one.mean + sign * (one.deviation or 0.0) for one in measured for sign in (-1, 1)]
    ends += [0.0, *(effect.points for effect in effects)]
    ticks = round_ticks(min(ends), max(ends), 4)
    across = Scale((ticks[0], ticks[-1]), (10, STRIP_WIDTH - 10))
    return EffectTable(
        columns=tuple((_EFFECT_METRICS[metric], split) for split, metric in columns),
        rows=tuple(_effect_row(effect, found[effect], across) for effect in effects),
        ticks=tuple((across(tick), signed(tick, 0 if tick.is_integer() else 1)) for tick in ticks),
        zero=across(0.0),
    )


def paired_difference(
    estimates: Mapping[Key, Estimate], better: Key, baseline: Key
) -> Estimate | None:
    """Difference of two methods, seed by seed, so that what a seed does to both cancels out.

    Args:
        estimates: the result of `results.summary`.
        better: minuend.
        baseline: subtrahend.

    Returns:
        Mean and deviation of the differences over the seeds that both have, in the metric's
        unit (percentage points); None if they share no seed.
    """
    if better not in estimates or baseline not in estimates:
        return None
    minuend, subtrahend = (dict(estimates[key].by_seed) for key in (better, baseline))
    differences = {seed: minuend[seed] - subtrahend[seed] for seed in minuend if seed in subtrahend}
    return Estimate.of(differences) if differences else None


def _effect_row(effect: Effect, differences: Sequence[Estimate | None], across: Scale) -> EffectRow:
    marks = [Mark("paper", across(effect.points), 0.0, 0.0, STRIP_LANE / 2)]
    cells = []
    for place, one in enumerate(differences):
        if one is None or math.isnan(one.mean):
            cells.append(EffectCell(Cell(), "not measured", "none"))
            continue
        seeds = ", ".join(f"seed {seed}: {signed(value, 2)}" for seed, value in one.by_seed)
        note = ", ".join(signed(value) for _, value in one.by_seed) if one.n > 1 else ""
        verdict, tone = _verdict(one, effect.points)
        cells.append(
            EffectCell(Cell(signed(one.mean), deviation_text(one), note, seeds), verdict, tone)
        )
        spread = one.deviation or 0.0
        low, high = across(one.mean - spread), across(one.mean + spread)
        y = (place + 1.5) * STRIP_LANE
        marks.append(Mark(f"ours-{min(place, 3)}", across(one.mean), low, high, y))
    height = STRIP_LANE * (len(differences) + 1)
    paper = signed(effect.points)
    return EffectRow(effect.title, paper, tuple(cells), tuple(marks), height)


def _verdict(one: Estimate, paper: float) -> tuple[str, str]:
    agrees = one.mean * paper > 0
    if one.deviation is None:
        return (
            ("as the paper, one seed", "open")
            if agrees
            else (
                ("against the paper, one seed", "against")
                if one.mean
                else ("no difference", "open")
            )
        )
    if abs(one.mean) <= one.deviation:
        return "within its deviation", "open"
    if agrees:
        return "as the paper, beyond its deviation", "for"
    return "against the paper, beyond its deviation", "against"
