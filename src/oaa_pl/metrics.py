"""Data-set level scores, streamed: intersection over union, and its curve over thresholds.

`torchmetrics.segmentation.MeanIoU` averages per image; the field's mIoU sums intersections and
unions over the whole data set first, so both metrics here keep int64 counts, and torchmetrics
sums them over processes.

Shapes: H x W pixels. Ids: 0 background, c + 1 for foreground class c, 255 ignored.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from oaa_pl.ids import IGNORED

__all__ = ["Curve", "HeldOutThreshold", "SegmentationScore", "ThresholdCurve", "iou_per_class"]


def iou_per_class(confusion: Tensor) -> Tensor:
    """Intersection over union of each class from a confusion matrix.

    Args:
        confusion: pixels counted by (truth, prediction), int64, (..., C + 1, C + 1).

    Returns:
        IoU in [0, 1], float64, (..., C + 1); NaN for a class in neither truth nor prediction.
    """
    hits = confusion.diagonal(dim1=-2, dim2=-1).double()
    union = confusion.sum(-1) + confusion.sum(-2) - hits
    return hits / union.where(union > 0, torch.nan)


class SegmentationScore(Metric):
    """Mean IoU of label maps over a data set, with the share of pixels that carry a label.

    Pixels ignored in the truth never count. Pixels ignored in the *prediction* (a proxy label may
    abstain) are dropped from the score and lower the coverage.

    Args:
        num_classes: C + 1, background included.
    """

    full_state_update = False
    confusion: Tensor
    abstained: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.add_state("confusion", counts, dist_reduce_fx="sum")
        self.add_state("abstained", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @override
    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Count pixels: prediction and truth hold ids 0..C or 255, any equal shape."""
        prediction, truth = prediction.flatten().long(), truth.flatten().long()
        valid = truth != IGNORED
        self.abstained += (valid & (prediction == IGNORED)).sum()
        valid &= prediction != IGNORED
        cell = truth[valid] * self.num_classes + prediction[valid]
        counted = torch.bincount(cell, minlength=self.num_classes**2)
        self.confusion += counted.view(self.num_classes, self.num_classes)

    @override
    def compute(self) -> dict[str, Tensor]:
        """`miou`, `precision`, `recall` (foreground means) and `coverage`, each in [0, 1]."""
        confusion = self.confusion.double()
        hits = confusion.diagonal()
        labelled = confusion.sum()
        total = labelled + self.abstained
        return {
            "miou": iou_per_class(self.confusion).nanmean(),
            "precision": _mean_ratio(hits, confusion.sum(0)),
            "recall": _mean_ratio(hits, confusion.sum(1)),
            "coverage": labelled / total if total > 0 else torch.tensor(torch.nan),
        }


class Curve(NamedTuple):
    """Scores of attention maps cut at each of T thresholds.

    Attributes:
        thresholds: (T,), in [0, 1].
        miou: background and foreground classes, (T,), in [0, 1].
        precision: mean over foreground classes, (T,), in [0, 1].
        recall: mean over foreground classes, (T,), in [0, 1].
    """

    thresholds: NDArray[np.float64]
    miou: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    def at(self, threshold: float) -> int:
        """Place of the threshold nearest to the given one."""
        return int(np.abs(self.thresholds - threshold).argmin())


class ThresholdCurve(Metric):
    """mIoU of attention maps against the background threshold, in one pass for all thresholds.

    A pixel belongs to its strongest class if that attention reaches the threshold, else to the
    background. One histogram over (truth, strongest class, value bin) holds every threshold.

    Args:
        num_classes: C + 1, background included.
        bins: thresholds 0, 1/bins, ..., (bins - 1)/bins.
    """

    full_state_update = False
    histogram: Tensor

    def __init__(self, num_classes: int, bins: int = 100) -> None:
        super().__init__()
        self.num_classes, self.bins = num_classes, bins
        counts = torch.zeros(num_classes, num_classes, bins, dtype=torch.int64)
        self.add_state("histogram", counts, dist_reduce_fx="sum")

    @override
    def update(self, attention: Tensor, categories: Tensor, truth: Tensor) -> None:
        """Count one image: attention in [0, 1], (K, H, W); categories c, (K,); truth (H, W)."""
        value, strongest = attention.max(dim=0)
        strongest = categories[strongest] + 1
        # Tiny slack: a value equal to a threshold reaches it, whatever float32 makes of k / bins.
        level = (value * self.bins + 1e-4).long().clamp(0, self.bins - 1)
        valid = truth != IGNORED
        cell = (truth.long() * self.num_classes + strongest) * self.bins + level
        counted = torch.bincount(cell[valid], minlength=self.histogram.numel())
        self.histogram += counted.view_as(self.histogram)

    @override
    def compute(self) -> Curve:
        """The scores at every threshold."""
        return _curve(_confusions(self.histogram))


class HeldOutThreshold:
    """mIoU at a threshold that was chosen on other images than those it is scored on.

    The images are dealt to two halves; each is cut at the other's best threshold.

    Args:
        num_classes: C + 1, background included.
        bins: see `ThresholdCurve`.
    """

    def __init__(self, num_classes: int, bins: int = 100) -> None:
        self._halves = ThresholdCurve(num_classes, bins), ThresholdCurve(num_classes, bins)
        self._count = 0

    def update(self, attention: Tensor, categories: Tensor, truth: Tensor) -> None:
        """Count one image: attention in [0, 1], (K, H, W); categories c, (K,); truth (H, W)."""
        self._halves[self._count % 2].update(attention, categories, truth)
        self._count += 1

    def curve(self) -> Curve:
        """The scores of all images at every threshold: the best one is an oracle's."""
        first, second = (half.histogram for half in self._halves)
        return _curve(_confusions(first + second))

    def miou(self) -> float:
        """MIoU over all images, in [0, 1]; NaN with fewer than two images."""
        if self._count < 2:
            return float("nan")
        first, second = (_confusions(half.histogram) for half in self._halves)
        of_first, of_second = (int(np.nanargmax(_curve(half).miou)) for half in (first, second))
        return float(iou_per_class(first[of_second] + second[of_first]).nanmean())


def _confusions(histogram: Tensor) -> Tensor:
    """Confusion matrices at T thresholds, (T, C + 1, C + 1), of a histogram (C + 1, C + 1, T)."""
    # reached[t]: pixels whose value is in bin t or above keep their class.
    reached = histogram.flip(2).cumsum(2).flip(2).permute(2, 0, 1)
    confusion = reached.clone()
    confusion[:, :, 0] = histogram.sum((1, 2)) - reached.sum(2)
    return confusion


def _curve(confusion: Tensor) -> Curve:
    counts = confusion.double()
    hits = counts.diagonal(dim1=1, dim2=2)
    return Curve(
        thresholds=np.arange(len(confusion)) / len(confusion),
        miou=iou_per_class(confusion).nanmean(1).numpy(force=True),
        precision=_mean_ratio(hits, counts.sum(1)).numpy(force=True),
        recall=_mean_ratio(hits, counts.sum(2)).numpy(force=True),
    )


def _mean_ratio(hits: Tensor, total: Tensor) -> Tensor:
    """Mean over the foreground classes that have any pixel: (..., C + 1) twice -> (...)."""
    ratio = hits / total.where(total > 0, torch.nan)
    return ratio[..., 1:].nanmean(-1)
