"""Scores of attention maps cut at a threshold, and their curve over thresholds.

Shapes: H x W pixels, K present classes, T thresholds. Ids: 0 background, c + 1 for foreground
class c, 255 ignored.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from oaa_pl.errors import ConfigError
from oaa_pl.ids import IGNORED
from oaa_pl.metrics.segmentation import iou_per_class, mean_ratio, require_ids, require_shape

__all__ = ["Curve", "HeldOutThreshold", "ThresholdCurve", "cut", "require_threshold"]

# Of one bin: a value equal to a threshold reaches it, whatever float32 makes of k / bins.
_SLACK = 1e-4
_BINS = 100


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
        """Index of one of this curve's thresholds; `cut` works at any other.

        Raises:
            ConfigError: if it is something else.
        """
        place = int(np.abs(self.thresholds - threshold).argmin())
        if not abs(self.thresholds[place] - threshold) <= 1e-9:  # nor is NaN one
            first, last = self.thresholds[0], self.thresholds[-1]
            raise ConfigError(
                f"threshold: expected one of the curve's {len(self.thresholds)} from {first:g} to "
                f"{last:g}, got {threshold!r}; score the labels of `cut` at any other"
            )
        return place

    @property
    def best(self) -> int | None:
        """Index of the highest mIoU; None if all are NaN."""
        return None if np.isnan(self.miou).all() else int(np.nanargmax(self.miou))


def require_threshold(threshold: object) -> float:
    """Check a threshold of attention, which must be in [0, 1].

    Raises:
        ConfigError: if it is not.
    """
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if not number or not 0 <= threshold <= 1:  # type: ignore[operator]  # a number
        raise ConfigError(
            f"evaluate.threshold must be a number from 0 to 1, got {threshold!r}: attention has "
            "no other values"
        )
    return float(threshold)  # type: ignore[arg-type]  # a number


def cut(attention: Tensor, categories: Tensor, threshold: float) -> Tensor:
    """Label map of attention maps at one threshold, which need not be one of a curve's.

    A pixel belongs to its strongest class if that attention reaches the threshold, else to the
    background.

    Args:
        attention: in [0, 1], (K, H, W); K may be 0.
        categories: class c of each map, (K,).
        threshold: in [0, 1].

    Returns:
        Ids 0..C, (H, W) int64.

    Raises:
        ConfigError: if the threshold is out of range.
    """
    level = require_threshold(threshold) * _BINS
    value, label = _strongest(attention, categories)
    return label.where(value * _BINS + _SLACK >= level, 0)


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

    def __init__(self, num_classes: int, bins: int = _BINS) -> None:
        super().__init__()
        self.num_classes, self.bins = num_classes, bins
        counts = torch.zeros(num_classes, num_classes, bins, dtype=torch.int64)
        self.add_state("histogram", counts, dist_reduce_fx="sum")

    @override
    def update(self, attention: Tensor, categories: Tensor, truth: Tensor) -> None:
        """Count one image: attention in [0, 1], (K, H, W); categories c, (K,); truth (H, W).

        Raises:
            BadMaskError: if the truth has another size, or a value that is not an id.
            ConfigError: if there are more or fewer categories than maps, one is not a class, or
                attention is out of its range.
        """
        require_shape("attention", attention[0] if len(attention) else attention.sum(0), truth)
        if truth.device.type == "cpu":  # a GPU would have to be waited for
            require_ids("truth", truth, self.num_classes)
            _require_attention(attention, categories, self.num_classes)
        value, strongest = _strongest(attention, categories)
        level = (value * self.bins + _SLACK).long().clamp(0, self.bins - 1)
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

    def __init__(self, num_classes: int, bins: int = _BINS) -> None:
        self._halves = ThresholdCurve(num_classes, bins), ThresholdCurve(num_classes, bins)
        self._count = 0

    def update(self, attention: Tensor, categories: Tensor, truth: Tensor) -> None:
        """Count one image: attention in [0, 1], (K, H, W); categories c, (K,); truth (H, W)."""
        self._halves[self._count % 2].update(attention, categories, truth)
        self._count += 1

    def merge(self, later: "HeldOutThreshold") -> None:
        """Add the counts of later images, as if they had been counted here."""
        halves = later._halves[::-1] if self._count % 2 else later._halves
        for mine, its in zip(self._halves, halves, strict=True):
            mine.histogram += its.histogram
        self._count += later._count

    def curve(self) -> Curve:
        """The scores of all images at every threshold: the best one is an oracle's."""
        first, second = (half.histogram for half in self._halves)
        return _curve(_confusions(first + second))

    def miou(self) -> float:
        """MIoU over all images, in [0, 1]; NaN with fewer than two images."""
        if self._count < 2:
            return float("nan")
        first, second = (_confusions(half.histogram) for half in self._halves)
        of_first, of_second = (_curve(half).best for half in (first, second))
        if of_first is None or of_second is None:  # a half without one pixel that counts
            return float("nan")
        return float(iou_per_class(first[of_second] + second[of_first]).nanmean())


def _confusions(histogram: Tensor) -> Tensor:
    """Confusion matrices at T thresholds, (T, C + 1, C + 1), of a histogram (C + 1, C + 1, T)."""
    # reached[t]: pixels whose value is in bin t or above keep their class.
    reached = histogram.flip(2).cumsum(2).flip(2).permute(2, 0, 1)
    confusion = reached.clone()
    # In column 0, images without any map: background at every threshold.
    confusion[:, :, 0] = histogram.sum((1, 2)) - reached[:, :, 1:].sum(2)
    return confusion


def _curve(confusion: Tensor) -> Curve:
    counts = confusion.double()
    hits = counts.diagonal(dim1=1, dim2=2)
    return Curve(
        thresholds=np.arange(len(confusion)) / len(confusion),
        miou=iou_per_class(confusion).nanmean(1).numpy(force=True),
        precision=mean_ratio(hits, counts.sum(1)).numpy(force=True),
        recall=mean_ratio(hits, counts.sum(2)).numpy(force=True),
    )


def _strongest(attention: Tensor, categories: Tensor) -> tuple[Tensor, Tensor]:
    """Highest attention of each pixel and its id c + 1, both (H, W); 0 and 0 without any map."""
    if not len(attention):
        nothing = attention.sum(dim=0)
        return nothing, nothing.long()
    value, place = attention.max(dim=0)
    return value, categories[place] + 1


def _require_attention(attention: Tensor, categories: Tensor, num_classes: int) -> None:
    known = (categories >= 0) & (categories < num_classes - 1)
    if len(categories) != len(attention) or not bool(known.all()):
        raise ConfigError(
            f"attention: expected one class of 0..{num_classes - 2} per map, got "
            f"{len(attention)} maps of the classes {categories.tolist()}"
        )
    # Resizing may round by a little; a NaN is in no range.
    if attention.numel() and not bool(((attention > -1e-3) & (attention < 1 + 1e-3)).all()):
        raise ConfigError(
            f"attention must be in [0, 1], got {float(attention.min()):g} to "
            f"{float(attention.max()):g}: normalise the maps first"
        )
