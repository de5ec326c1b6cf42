"""Data-set level scores, streamed: intersection over union, its curve, average precision.

`torchmetrics.segmentation.MeanIoU` averages per image; the field's mIoU sums intersections and
unions over the whole data set first, so those metrics here keep int64 counts, and torchmetrics
sums them over processes. An undefined score is NaN: a class that never occurs is left out of every
mean, and the mean of no class is NaN, not 0.
"""

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
    "Curve",
    "HeldOutThreshold",
    "MeanAveragePrecision",
    "SegmentationScore",
    "ThresholdCurve",
    "cut",
    "iou_per_class",
    "require_threshold",
]
