"""Scores of weakly supervised localisation: PxAP with masks, box accuracies with boxes.

Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR 2020,
section 4 (PxAP, MaxBoxAcc), and its journal version (MaxBoxAccV2). GT-known and top-1 localisation:
Russakovsky et al., IJCV 2015, and Zhou et al., CVPR 2016 (the threshold at 20 % of the maximum).

Both metrics keep counts per threshold, so that memory does not grow with the number of photos.

Shapes: K maps of H x W pixels, N boxes, T thresholds, D overlaps.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from oaa_pl.errors import BadMaskError, ConfigError
from oaa_pl.ids import IGNORED
from oaa_pl.metrics.boxes import Boxes, box_iou, boxes_at
from oaa_pl.metrics.segmentation import require_shape

__all__ = ["BoxAccuracy", "PixelAveragePrecision"]

_INTERVAL = 0.001  # between thresholds, as in the benchmark
_OVERLAPS = (0.3, 0.5, 0.7)  # of MaxBoxAccV2
_USUAL = 0.5  # the overlap of MaxBoxAcc, GT-known and top-1 localisation
_FIXED = 0.2  # threshold of GT-known and top-1 localisation, of the map's maximum


def _thresholds(interval: float) -> NDArray[np.float64]:
    if not 0 < interval < 1:
        raise ConfigError(f"interval of thresholds must be in (0, 1), got {interval!r}")
    return np.arange(0, 1, interval)


class PixelAveragePrecision(Metric):
    """PxAP: area under precision and recall of the pixels of all maps, over their thresholds.

    Args:
        interval: between two thresholds, in (0, 1).

    Raises:
        ConfigError: if the interval is out of range.
    """

    full_state_update = False
    hits: Tensor
    others: Tensor

    def __init__(self, interval: float = _INTERVAL) -> None:
        super().__init__()
        self.edges = np.append(_thresholds(interval), [1.0, 2.0])  # the last bin has value 1
        for name in ("hits", "others"):
            zeros = torch.zeros(len(self.edges) - 1, dtype=torch.int64)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    @override
    def update(self, attention: Tensor, categories: Tensor, truth: Tensor) -> None:
        """Count one image: attention in [0, 1], (K, H, W); categories c, (K,); truth (H, W).

        Pixels of class c (id c + 1) belong to its map, pixels of other classes and the background
        do not, ignored pixels (255) do not count.

        Raises:
            BadMaskError: if the truth has another size.
            ConfigError: if there are more or fewer categories than maps, or attention is out of
                its range.
        """
        if len(categories) != len(attention):
            raise ConfigError(
                f"attention: expected one class per map, got {len(attention)} maps of the classes "
                f"{categories.tolist()}"
            )
        true, maps = truth.numpy(force=True), attention.numpy(force=True)
        for one, category in zip(maps, categories.tolist(), strict=True):
            require_shape("attention", torch.from_numpy(one), truth)
            if not (one.min() >= 0 and one.max() <= 1):  # NaN fails it too
                raise ConfigError(
                    f"attention must be in [0, 1], got {one.min():g} to {one.max():g}: normalise "
                    "the maps first"
                )
            own = true == category + 1
            rest = ~own & (true != IGNORED)
            self.hits += self._counted(one[own])
            self.others += self._counted(one[rest])

    def _counted(self, values: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(np.histogram(values, self.edges)[0]).to(self.hits.device)

    @override
    def compute(self) -> Tensor:
        """PxAP in [0, 1], a scalar.

        Raises:
            BadMaskError: if no true mask had a pixel of its class, so that there is no recall.
        """
        hits = self.hits.cpu().double().flip(0).cumsum(0)
        others = self.others.cpu().double().flip(0).cumsum(0)
        if not hits[-1] > 0:
            raise BadMaskError(
                "no pixel of the true masks is of its map's class, so that PxAP has no recall: "
                "check the masks and their ids"
            )
        precision = hits / (hits + others).clamp(min=1)
        recall = hits / hits[-1]
        steps = recall.diff(prepend=recall.new_zeros(1))
        return (precision * steps).sum()


class BoxAccuracy(Metric):
    """Shares of maps whose box overlaps with a true box of its class.

    Args:
        interval: between two thresholds, in (0, 1).
        fixed: threshold of GT-known and top-1 localisation, a share of the map's maximum.

    Raises:
        ConfigError: if an argument is out of range.
    """

    full_state_update = False
    largest: Tensor
    any_part: Tensor
    known: Tensor
    classified: Tensor
    maps: Tensor
    with_class: Tensor

    def __init__(self, interval: float = _INTERVAL, fixed: float = _FIXED) -> None:
        super().__init__()
        self.thresholds = _thresholds(interval)
        if not 0 <= fixed < 1:
            raise ConfigError(f"fixed threshold must be in [0, 1), got {fixed!r}")
        self.fixed = fixed
        steps = len(self.thresholds)
        zero = torch.zeros((), dtype=torch.int64)
        self.add_state("largest", zero.repeat(steps), dist_reduce_fx="sum")
        self.add_state("any_part", zero.repeat(len(_OVERLAPS), steps), dist_reduce_fx="sum")
        for name in ("known", "classified", "maps", "with_class"):
            self.add_state(name, zero.clone(), dist_reduce_fx="sum")

    @override
    def update(
        self, attention: Tensor, boxes: Sequence[Boxes], correct: Sequence[bool] | None = None
    ) -> None:
        """Count the maps of one image: attention in [0, 1], (K, H, W); true boxes, K times (N, 4).

        `correct` says for each map whether the classifier's first guess is its class, for top-1
        localisation; None where that is not known.

        Raises:
            ConfigError: if there are more or fewer lists of boxes than maps, a map has no true
                box, or attention is out of its range.
            ShapeError: if a box is not (x0, y0, x1, y1).
        """
        guessed = [None] * len(attention) if correct is None else list(correct)
        if not len(attention) == len(boxes) == len(guessed):
            raise ConfigError(
                f"boxes: expected a list for each of {len(attention)} maps, got {len(boxes)} "
                f"(and {len(guessed)} guesses)"
            )
        for one, true, right in zip(attention.numpy(force=True), boxes, guessed, strict=True):
            if not len(true):
                raise ConfigError("boxes: a map has no true box: leave out its class")
            found = boxes_at(one, [*self.thresholds.tolist(), self.fixed])
            self._count(found, np.asarray(true), right)

    def _count(self, found: list[Boxes], true: Boxes, right: bool | None) -> None:
        best: dict[int, NDArray[np.float64]] = {}  # thresholds of one level share their boxes
        for boxes in found:
            if id(boxes) not in best:
                best[id(boxes)] = box_iou(boxes, true).max(axis=1)
        overlaps = [best[id(boxes)] for boxes in found]
        first = np.array([one[0] for one in overlaps])
        most = np.array([one.max() for one in overlaps[:-1]])
        known = bool(first[-1] >= _USUAL)
        self.largest += torch.from_numpy(first[:-1] >= _USUAL).to(self.largest.device)
        reached = most[None] >= np.array(_OVERLAPS)[:, None]
        self.any_part += torch.from_numpy(reached).to(self.any_part.device)
        self.known += known
        self.maps += 1
        if right is not None:
            self.with_class += 1
            self.classified += known and bool(right)

    @override
    def compute(self) -> dict[str, Tensor]:
        """Shares in [0, 1]; NaN without a map.

        `max_box_acc`: the largest part's box overlaps by 0.5, at the best threshold of the data
        set (an oracle). `max_box_acc_v2`: any part's box, the mean over overlaps of 0.3, 0.5 and
        0.7, each at its best threshold. `gt_known`: as the first, at the fixed threshold.
        `top1_loc`: as `gt_known`, and the class was the classifier's first guess; NaN if no guess
        was given.
        """
        maps, guessed = self.maps.cpu().double(), self.with_class.cpu().double()
        maps, guessed = (count.where(count > 0, torch.nan) for count in (maps, guessed))
        return {
            "max_box_acc": self.largest.max().cpu() / maps,
            "max_box_acc_v2": self.any_part.max(dim=1).values.cpu().double().mean() / maps,
            "gt_known": self.known.cpu() / maps,
            "top1_loc": self.classified.cpu() / guessed,
        }
