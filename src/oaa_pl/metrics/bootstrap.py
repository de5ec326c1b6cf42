"""Differences of two methods in mIoU, with an interval by a paired bootstrap.

What another choice of photos, or another seed, would have changed: each replicate draws seeds with
repeats, and photos with repeats for each of them. Both methods are scored on the same draw, so that
what a photo or a seed does to both cancels out.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3 (percentiles).

Shapes: R replicates, S seeds, N photos, C foreground classes; counts are (truth, prediction).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from oaa_pl.errors import ShapeError
from oaa_pl.metrics.segmentation import iou_per_class

__all__ = ["Counts", "Difference", "difference", "resampled"]

Counts = Mapping[int, NDArray[np.int64]]
"""Confusion matrices of every photo, (N, C + 1, C + 1), by seed; each has the same photos."""


class Difference(NamedTuple):
    """A difference in percentage points of mIoU.

    Attributes:
        mean: over the seeds.
        low: end of its 95 % interval.
        high: the other end.
        by_seed: the difference of every seed.
    """

    mean: float
    low: float
    high: float
    by_seed: dict[int, float]


def difference(
    ours: Counts, theirs: Counts, draws: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> Difference:
    """One method's mIoU minus another's.

    Args:
        ours: of the first method.
        theirs: of the second one, of the same seeds and photos.
        draws: `resampled` of both, (R,) each, by the same draws.

    Raises:
        ShapeError: if seeds or shapes differ.
    """
    if ours.keys() != theirs.keys() or any(ours[s].shape != theirs[s].shape for s in ours):
        shapes = [{seed: one.shape for seed, one in counts.items()} for counts in (ours, theirs)]
        raise ShapeError(
            f"counts of two methods must be of the same seeds and photos, got {shapes[0]} and "
            f"{shapes[1]}; score both on the same split"
        )
    by_seed = {s: float(_miou(ours[s].sum(0)) - _miou(theirs[s].sum(0))) for s in sorted(ours)}
    low, high = np.percentile(draws[0] - draws[1], [2.5, 97.5])
    return Difference(float(np.mean([*by_seed.values()])), float(low), float(high), by_seed)


def resampled(counts: Counts, replicates: int = 2000) -> NDArray[np.float64]:
    """One method's mIoU in each replicate, a mean over S drawn seeds.

    The draws depend on the seeds' and the photos' number alone, so that two methods have the same.
    With one seed, the interval is over photos alone.

    Args:
        counts: of one seed or more.
        replicates: R.

    Returns:
        Per cent, (R,).

    Raises:
        ShapeError: if the seeds have different numbers of photos, or no seed is given.
    """
    seeds = sorted(counts)
    sizes = {counts[seed].shape for seed in seeds}
    if len(sizes) != 1 or not min(sizes)[0]:
        raise ShapeError(
            f"counts must be of one seed or more, each with the same photos, got the shapes {sizes}"
        )
    (shape,) = sizes
    generator = np.random.default_rng(0)
    drawn = generator.integers(len(seeds), size=(replicates, len(seeds)))
    flat = [counts[seed].reshape(shape[0], -1).astype(np.float64) for seed in seeds]
    total = np.zeros(replicates)
    for place in range(len(seeds)):
        # How often a replicate has each photo: as drawing N of N with repeats.
        times = generator.multinomial(shape[0], np.full(shape[0], 1 / shape[0]), size=replicates)
        for number, photos in enumerate(flat):
            at = drawn[:, place] == number
            total[at] += _miou((times[at] @ photos).reshape(-1, *shape[1:]))
    return total / len(seeds)


def _miou(confusion: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean IoU in per cent, of (..., C + 1, C + 1); a class without any pixel is left out."""
    mean = 100 * iou_per_class(torch.from_numpy(np.asarray(confusion))).nanmean(-1)
    miou: NDArray[np.float64] = mean.numpy()
    return miou
