"""Data-set level scores, streamed: intersection over union, its curve, average precision.

`torchmetrics.segmentation.MeanIoU` averages per image; the field's mIoU sums intersections and
unions over the whole data set first, so those metrics here keep int64 counts, and torchmetrics
sums them over processes. What a data set does not define is NaN: a class that it never shows is
left out of every mean, and a mean of nothing is NaN, not 0.
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
