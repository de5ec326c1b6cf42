"""The curve over thresholds as files: a CSV, and a picture.

Shapes: T thresholds.
"""

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from oaa_pl.files.atomic import write_whole
from oaa_pl.files.csv_text import csv_text
from oaa_pl.metrics import Curve

__all__ = ["write_curve"]


def write_curve(folder: Path, curve: Curve, title: str) -> None:
    """Write `curve.csv` (threshold,miou,precision,recall; percentages) and `curve.png`.

    Args:
        folder: where they go.
        curve: scores in [0, 1] at each threshold, (T,).
        title: above the picture.

    Raises:
        OutputError: if a file cannot be written.
    """
    rows = [
        (f"{threshold:.4f}", *(f"{100 * score:.4f}" for score in scores))
        for threshold, *scores in zip(*curve, strict=True)
    ]
    text = csv_text(("threshold", "miou", "precision", "recall"), rows)
    write_whole(folder / "curve.csv", text.encode())
    figure = Figure(figsize=(6, 4), dpi=120)
    axes = figure.subplots()
    for name in ("miou", "precision", "recall"):
        axes.plot(curve.thresholds, 100 * np.asarray(getattr(curve, name)), label=name)
    axes.set(xlabel="threshold of attention", ylabel="%", title=title, xlim=(0, 1), ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_whole(folder / "curve.png", picture.getvalue())
