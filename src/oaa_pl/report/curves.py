"""Mean IoU of the attention maps against the threshold, laid out for an inline SVG.

Only coordinates are computed here; the template draws them, so that its style sheet can colour the
lines for light, dark and print.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from oaa_pl.errors import ConfigError
from oaa_pl.report.axis import Scale, round_ticks
from oaa_pl.report.paper import title_of

__all__ = ["Chart", "IouCurve", "Line", "Tick", "draw_curves", "mean_curve"]

WIDTH, HEIGHT = 700, 420
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 30, 54


@dataclass(frozen=True, slots=True)
class IouCurve:
    """A method's mean IoU at each threshold.

    Attributes:
        thresholds: ascending, in [0, 1], T of them.
        miou: percent, in [0, 100] or NaN, T of them.
        deviation: sample deviation over seeds in points, T of them, or None for a single seed.

    Raises:
        ConfigError: if the lengths differ, there is no threshold, or they do not ascend.
    """

    thresholds: Sequence[float]
    miou: Sequence[float]
    deviation: Sequence[float] | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.thresholds), len(self.miou)}
        if self.deviation is not None:
            lengths.add(len(self.deviation))
        if len(lengths) != 1 or 0 in lengths:
            raise ConfigError(
                f"curve: expected as many values as thresholds, one or more, got {sorted(lengths)}"
            )
        if any(after <= before for before, after in pairwise(self.thresholds)):
            raise ConfigError("curve: expected ascending thresholds; sort the curve by threshold")


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis, in drawing coordinates."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A drawn curve.

    Attributes:
        method: key that the style sheet colours.
        title: the method's name.
        path: SVG path of the line.
        band: SVG path of mean ± deviation, empty for a single seed.
        peak: drawing coordinates of the best threshold.
        best_threshold: the oracle's threshold, in [0, 1].
        best_miou: percent.
    """

    method: str
    title: str
    path: str
    band: str
    peak: tuple[float, float]
    best_threshold: float
    best_miou: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws; coordinates from the top left corner."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    marker: Tick | None


def mean_curve(curves: Sequence[IouCurve]) -> IouCurve:
    """Average the curves of several seeds, threshold by threshold.

    Args:
        curves: one per seed, all at the same thresholds.

    Returns:
        The mean curve, with its sample deviation if there are two or more.

    Raises:
        ConfigError: if there is no curve or the thresholds differ.
    """
    if not curves or any(list(c.thresholds) != list(curves[0].thresholds) for c in curves):
        raise ConfigError(
            "curves: expected one or more curves at the same thresholds; evaluate every seed in "
            "the same way"
        )
    values = np.array([curve.miou for curve in curves], dtype=np.float64)
    deviation = values.std(axis=0, ddof=1).tolist() if len(curves) > 1 else None
    return IouCurve(list(curves[0].thresholds), values.mean(axis=0).tolist(), deviation)


def draw_curves(
    curves: Mapping[str, IouCurve], fixed_threshold: float | None = None
) -> Chart | None:
    """Lay the curves out.

    Args:
        curves: method -> curve.
        fixed_threshold: the stated threshold of `attention/miou`, marked by a vertical line.

    Returns:
        The drawing, the highest curve first; None if no curve has a value.
    """
    points = {method: _points(curve) for method, curve in curves.items()}
    points = {method: triples for method, triples in points.items() if triples}
    if not points:
        return None
    every = [triple for triples in points.values() for triple in triples]
    x_values = round_ticks(min(t for t, _, _ in every), max(t for t, _, _ in every), 10)
    y_values = round_ticks(
        max(0.0, min(v - d for _, v, d in every)), max(v + d for _, v, d in every), 6
    )
    across = Scale((x_values[0], x_values[-1]), (LEFT, WIDTH - RIGHT))
    up = Scale((y_values[0], y_values[-1]), (HEIGHT - BOTTOM, TOP))
    lines = [_line(method, triples, across, up) for method, triples in points.items()]
    marker = None
    if fixed_threshold is not None and x_values[0] <= fixed_threshold <= x_values[-1]:
        marker = Tick(across(fixed_threshold), f"{fixed_threshold:g}")
    return Chart(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
        x_ticks=tuple(Tick(across(value), f"{value:g}") for value in x_values),
        y_ticks=tuple(Tick(up(value), f"{value:g}") for value in y_values),
        lines=tuple(sorted(lines, key=lambda line: (-line.best_miou, line.method))),
        marker=marker,
    )


def _points(curve: IouCurve) -> list[tuple[float, float, float]]:
    """(threshold, mean IoU, deviation), NaN left out: an undefined score has no place to draw."""
    deviation = [0.0] * len(curve.miou) if curve.deviation is None else curve.deviation
    triples = zip(curve.thresholds, curve.miou, deviation, strict=True)
    return [(t, v, d) for t, v, d in triples if not math.isnan(v)]


def _line(method: str, triples: list[tuple[float, float, float]], across: Scale, up: Scale) -> Line:
    upper = [(across(t), up(v + d)) for t, v, d in triples]
    lower = [(across(t), up(max(0.0, v - d))) for t, v, d in reversed(triples)]
    best_threshold, best_miou, _ = max(triples, key=lambda triple: triple[1])
    return Line(
        method=method,
        title=title_of(method),
        path=_path([(across(t), up(v)) for t, v, _ in triples]),
        band=_path(upper + lower) + "Z" if any(d > 0 for _, _, d in triples) else "",
        peak=(across(best_threshold), up(best_miou)),
        best_threshold=best_threshold,
        best_miou=best_miou,
    )


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in places)
