"""Whether an exported file gives what the checkpoint gives, on photos.

Shapes: each output of a photo has the graph's shape without the batch.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from oaa_pl.errors import ExportError
from oaa_pl.prediction.export.exportable import Arrays, Exportable

__all__ = ["LABELS", "TOLERANCE", "Agreement", "require_equal"]

TOLERANCE = 1e-3
"""Largest difference of a probability; of raw scores in units of the largest one."""

LABELS = 0.999
"""Least share of pixels with equal labels."""


class Agreement(NamedTuple):
    """How well a file agreed with the checkpoint.

    Attributes:
        photos: that were compared.
        difference: the largest of a value that is not a label, as in `TOLERANCE`.
        labels: share of equal labels; 1 where there are no labels.
    """

    photos: int
    difference: float
    labels: float


def require_equal(
    exported: Exportable,
    run: Callable[[Arrays], Arrays],
    batches: Sequence[Sequence[NDArray[np.uint8]]],
) -> Agreement:
    """Compare a file with the checkpoint.

    Args:
        exported: what was exported.
        run: runs the file: inputs to outputs in their order.
        batches: photos (H, W, 3); those of one batch have one size.

    Raises:
        ExportError: if an output has another shape, or differs by more than `TOLERANCE` or
            `LABELS`, or if the file cannot be run.
    """
    worst, labels, photos = 0.0, 1.0, 0
    for batch in batches:
        inputs = exported.inputs(batch)
        found = _run(run, inputs)
        for place, photo in enumerate(batch):
            photos += 1
            expected = exported.expected(photo)
            for name, value in zip(exported.outputs, found, strict=True):
                difference, same = _compared(name, value[place], expected[name])
                worst, labels = max(worst, difference), min(labels, same)
    # The photos of a square input would not show that the other sizes work.
    other = exported.example(cells=(3, 1), batch=3)
    with torch.no_grad():
        direct = exported.graph(*(torch.from_numpy(value) for value in other.values()))
    for name, value, tensor in zip(exported.outputs, _run(run, other), direct, strict=True):
        _compared(name, value, tensor.numpy())
    return Agreement(photos, worst, labels)


def _run(run: Callable[[Arrays], Arrays], inputs: Arrays) -> list[NDArray[Any]]:
    try:
        return list(run(inputs).values())
    except Exception as error:  # of the format's own software, of many kinds
        reason = " ".join(str(error).split())[:300]
        raise ExportError(
            f"the exported file cannot be run on images of shape {inputs['image'].shape} "
            f"({reason}); nothing was written"
        ) from error


def _compared(name: str, found: NDArray[Any], expected: NDArray[Any]) -> tuple[float, float]:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise ExportError(
            f"the exported file gives {name} as {found.shape} {found.dtype}, the checkpoint as "
            f"{expected.shape} {expected.dtype}; nothing was written"
        )
    if expected.dtype == np.uint8:
        same = float((found == expected).mean())
        if same < LABELS:
            raise ExportError(
                f"the exported file gives the checkpoint's {name} on {100 * same:.3f} % of the "
                f"pixels, expected {100 * LABELS:.1f} %; nothing was written"
            )
        return 0.0, same
    unit = max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(found - expected).max()) / unit
    if not difference <= TOLERANCE:  # also if it is not a number
        raise ExportError(
            f"the exported file's {name} differs from the checkpoint's by {difference:.3g}, "
            f"expected at most {TOLERANCE}; nothing was written"
        )
    return difference, 1.0
