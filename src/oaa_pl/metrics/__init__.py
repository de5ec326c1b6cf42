"""Data-set level scores, streamed: overlap, its curve, average precision, localisation.

`torchmetrics.segmentation.MeanIoU` averages per image; the field's mIoU sums intersections and
unions over the whole data set first, so those metrics here keep int64 counts, and torchmetrics
sums them over processes. An undefined score is NaN: a class that never occurs is left out of every
mean, and the mean of no class is NaN, not 0.
"""

from oaa_pl.metrics.boundary import BoundaryScore, boundary_iou, boundary_of
from oaa_pl.metrics.boxes import box_iou, boxes_at, resized_box
from oaa_pl.metrics.classes import (
    ActivationScore,
    ClassScore,
    ClassScores,
    activation,
    class_scores,
)
from oaa_pl.metrics.localisation import BoxAccuracy, PixelAveragePrecision
from oaa_pl.metrics.precision import MeanAveragePrecision
from oaa_pl.metrics.segmentation import SegmentationScore, iou_per_class
from oaa_pl.metrics.threshold import (
    Curve,
    HeldOutThreshold,
    ThresholdCurve,
    cut,
    require_threshold,
)

__all__ = [
    "ActivationScore",
    "BoundaryScore",
    "BoxAccuracy",
    "ClassScore",
    "ClassScores",
    "Curve",
    "HeldOutThreshold",
    "MeanAveragePrecision",
    "PixelAveragePrecision",
    "SegmentationScore",
    "ThresholdCurve",
    "activation",
    "boundary_iou",
    "boundary_of",
    "box_iou",
    "boxes_at",
    "class_scores",
    "cut",
    "iou_per_class",
    "require_threshold",
    "resized_box",
]
