"""Scores of each class from one confusion matrix, and over- and under-activation.

Source: Wang et al., Self-supervised Equivariant Attention Mechanism, CVPR 2020, section 4.5, for
m_FP and m_FN: the mean over the foreground classes of FP / TP and of FN / TP, in pixels of the
whole data set. m_FP far above m_FN: maps cover too much (over-activation). m_FN far above m_FP:
they cover too little (under-activation).

Shapes: C foreground classes; a confusion matrix is (C + 1, C + 1), rows are the truth.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from oaa_pl.metrics.segmentation import SegmentationScore, iou_per_class

__all__ = ["ActivationScore", "ClassScore", "ClassScores", "activation", "class_scores"]


class ClassScores(NamedTuple):
    """Scores of each class, background first, float64, (C + 1,).

    Attributes:
        iou: intersection over union, in [0, 1]; NaN for a class in neither truth nor prediction.
        precision: in [0, 1]; NaN for a class that is never predicted.
        recall: in [0, 1]; NaN for a class that is never in the truth.
        fp_per_tp: wrong pixels per hit, 0 or more; infinite without a hit; NaN for a class in
            neither truth nor prediction.
        fn_per_tp: missed pixels per hit; as above.
    """

    iou: Tensor
    precision: Tensor
    recall: Tensor
    fp_per_tp: Tensor
    fn_per_tp: Tensor


def class_scores(confusion: Tensor) -> ClassScores:
    """Scores of each class.

    Args:
        confusion: pixels counted by (truth, prediction), int64, (C + 1, C + 1).
    """
    hits = confusion.diagonal().double()
    predicted, true = confusion.sum(0).double(), confusion.sum(1).double()
    occurs = predicted + true > 0

    def per_hit(wrong: Tensor) -> Tensor:
        # 0 / 0 is a class that occurs, but of which no pixel is wrong in this way and none is hit.
        ratio = torch.where(hits > 0, wrong / hits.clamp(min=1), torch.inf)
        return ratio.where(occurs, torch.nan)

    return ClassScores(
        iou=iou_per_class(confusion),
        precision=hits / predicted.where(predicted > 0, torch.nan),
        recall=hits / true.where(true > 0, torch.nan),
        fp_per_tp=per_hit(predicted - hits),
        fn_per_tp=per_hit(true - hits),
    )


def activation(confusion: Tensor) -> tuple[Tensor, Tensor]:
    """Over-activation m_FP and under-activation m_FN, means over the foreground classes.

    A class in neither truth nor prediction is left out. A class without a single hit makes both
    infinite, as the definition has it: leaving it out would flatter the maps.

    Args:
        confusion: pixels counted by (truth, prediction), int64, (C + 1, C + 1).

    Returns:
        Two float64 scalars, 0 or more; NaN if no foreground class occurs.
    """
    scores = class_scores(confusion)
    return scores.fp_per_tp[1:].nanmean(), scores.fn_per_tp[1:].nanmean()


class ClassScore(SegmentationScore):
    """Scores of each class of label maps over a data set: see `ClassScores`.

    Args:
        num_classes: C + 1, background included.
    """

    @override
    def compute(self) -> dict[str, Tensor]:
        """Each score of `ClassScores`, (C + 1,), and `confusion`, (C + 1, C + 1) int64.

        Raises:
            BadMaskError: if a pixel had no known id.
        """
        super().compute()  # refuses unknown ids
        confusion = self.confusion.cpu()
        return {**class_scores(confusion)._asdict(), "confusion": confusion}


class ActivationScore(SegmentationScore):
    """Over- and under-activation of label maps over a data set: see `activation`.

    Args:
        num_classes: C + 1, background included.
    """

    @override
    def compute(self) -> dict[str, Tensor]:
        """`m_fp` and `m_fn`, scalars.

        Raises:
            BadMaskError: if a pixel had no known id.
        """
        super().compute()  # refuses unknown ids
        m_fp, m_fn = activation(self.confusion.cpu())
        return {"m_fp": m_fp, "m_fn": m_fn}
