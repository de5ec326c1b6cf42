"""Boundary IoU: IoU of the pixels near the boundaries of truth and prediction alone.

Source: Cheng et al., Boundary IoU, CVPR 2021, Eq. (1); d is 2 % of the image's diagonal, and an
object that is cut by the image's border has a boundary there, as in the authors' code.
Intersections and unions are summed over the data set before they are divided, as for mIoU.

Pixels that are ignored in the truth, or without a label in the prediction, are taken out of both
maps first: what a prediction has there changes nothing.

Shapes: H x W pixels, C foreground classes. Ids: 0 background, c + 1 for class c, 255 ignored.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from oaa_pl.errors import ConfigError
from oaa_pl.ids import IGNORED
from oaa_pl.metrics.segmentation import require_ids, require_shape

__all__ = ["BoundaryScore", "boundary_iou", "boundary_of"]

_RATIO = 0.02  # of the diagonal, section 4 of the source


def boundary_of(mask: NDArray[np.bool_], ratio: float = _RATIO) -> NDArray[np.bool_]:
    """Pixels of a mask that are at most d pixels away from its outside.

    Args:
        mask: of one object or class, (H, W).
        ratio: d as a share of the diagonal; d is 1 pixel or more.

    Returns:
        The boundary, a part of the mask, (H, W).
    """
    width = max(1, round(ratio * float(np.hypot(*mask.shape))))
    padded = np.pad(mask.astype(np.uint8), 1)  # outside of the image is outside of the mask
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    edge: NDArray[np.bool_] = mask & (inner == 0)
    return edge


def boundary_iou(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], ratio: float = _RATIO
) -> float:
    """Boundary IoU of two masks.

    Args:
        prediction: (H, W).
        truth: (H, W).
        ratio: width of the boundary as a share of the diagonal.

    Returns:
        In [0, 1]; NaN if both are empty.
    """
    found, true = boundary_of(prediction, ratio), boundary_of(truth, ratio)
    union = int((found | true).sum())
    return int((found & true).sum()) / union if union else float("nan")


class BoundaryScore(Metric):
    """Mean boundary IoU of label maps over a data set, background counted, as in mIoU.

    Args:
        num_classes: C + 1, background included.
        ratio: width of the boundary as a share of each image's diagonal, in (0, 1].

    Raises:
        ConfigError: if the ratio is out of its range.
    """

    full_state_update = False
    intersection: Tensor
    union: Tensor

    def __init__(self, num_classes: int, ratio: float = _RATIO) -> None:
        super().__init__()
        if not 0 < ratio <= 1:
            raise ConfigError(f"ratio of a boundary must be above 0 and at most 1, got {ratio!r}")
        self.num_classes, self.ratio = num_classes, ratio
        for name in ("intersection", "union"):
            zeros = torch.zeros(num_classes, dtype=torch.int64)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    @override
    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Count one image, or a batch: ids 0..C or 255, (H, W) or (B, H, W), of equal shapes.

        Raises:
            BadMaskError: if the shapes differ, or a value is not such an id.
        """
        require_shape("prediction", prediction, truth)
        require_ids("prediction", prediction, self.num_classes)
        require_ids("truth", truth, self.num_classes)
        height, width = truth.shape[-2:]
        pairs = zip(
            prediction.reshape(-1, height, width).numpy(force=True),
            truth.reshape(-1, height, width).numpy(force=True),
            strict=True,
        )
        for found, true in pairs:
            self._count(found, true)

    def _count(self, found: NDArray[np.integer], true: NDArray[np.integer]) -> None:
        counts = (true != IGNORED) & (found != IGNORED)
        present = np.union1d(np.unique(found[counts]), np.unique(true[counts]))
        for label in present.astype(int).tolist():
            one = boundary_of((found == label) & counts, self.ratio)
            other = boundary_of((true == label) & counts, self.ratio)
            self.intersection[label] += int((one & other).sum())
            self.union[label] += int((one | other).sum())

    @override
    def compute(self) -> dict[str, Tensor]:
        """`boundary_iou`, the mean over classes that occur, and `per_class`, (C + 1,)."""
        union = self.union.cpu().double()
        each = self.intersection.cpu().double() / union.where(union > 0, torch.nan)
        return {"boundary_iou": each.nanmean(), "per_class": each}
