"""One number of a table: its mean, its deviation over seeds, and what stands below it."""

import math
from dataclasses import dataclass

from oaa_pl.report.results import Estimate

__all__ = ["Cell", "deviation_text", "mean_text", "signed"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a table.

    Attributes:
        text: the mean, or a dash where nothing was measured or nothing is defined.
        deviation: sample deviation, empty for a single seed.
        note: what stands below, such as the oracle's threshold.
        seeds: every seed's value in words, for a tooltip; empty if nothing was measured.
        best: whether it is the highest of its column.
    """

    text: str = "–"
    deviation: str = ""
    note: str = ""
    seeds: str = ""
    best: bool = False


def signed(value: float, decimals: int = 1) -> str:
    """A number with its sign, zero without; the minus is the typographic one; NaN is a dash.

    >>> signed(-1.25), signed(0.04), signed(2)
    ('−1.2', '0.0', '+2.0')
    """
    if math.isnan(value):
        return "–"
    text = f"{value:+.{decimals}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def mean_text(estimate: Estimate, decimals: int = 1) -> str:
    """`59.6`, or a dash where the score is undefined: its classes occur nowhere."""
    return "–" if math.isnan(estimate.mean) else f"{estimate.mean:.{decimals}f}"


def deviation_text(estimate: Estimate, decimals: int = 1) -> str:
    """`± 0.4`, or nothing where one seed leaves no deviation."""
    if estimate.deviation is None or math.isnan(estimate.deviation):
        return ""
    return f"± {estimate.deviation:.{decimals}f}"
