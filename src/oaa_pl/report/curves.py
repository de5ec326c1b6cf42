"""Mean IoU of the attention maps against the threshold. `charts` draws it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from oaa_pl.errors import ConfigError
from oaa_pl.report.paper import title_of

__all__ = ["IouCurve", "Peak", "mean_curve", "peaks_of"]


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

    def points(self) -> list[tuple[float, float, float]]:
        """(threshold, mIoU, deviation) without NaN: an undefined score has no place to draw."""
        deviation = [0.0] * len(self.miou) if self.deviation is None else self.deviation
        triples = zip(self.thresholds, self.miou, deviation, strict=True)
        return [(t, v, d) for t, v, d in triples if not math.isnan(v)]


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest point of a method's curve: the oracle.

    Attributes:
        method: its name.
        title: in tables.
        threshold: in [0, 1].
        miou: percent.
    """

    method: str
    title: str
    threshold: float
    miou: float


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


def peaks_of(curves: Mapping[str, IouCurve]) -> list[Peak]:
    """The highest point of each curve that has a value, the highest curve first.

    Args:
        curves: method -> curve.
    """
    peaks = []
    for method, curve in curves.items():
        if points := curve.points():
            threshold, miou, _ = max(points, key=lambda point: point[1])
            peaks.append(Peak(method, title_of(method), threshold, miou))
    return sorted(peaks, key=lambda peak: (-peak.miou, peak.method))
