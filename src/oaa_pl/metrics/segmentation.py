"""Scores of label maps against true masks, summed over a data set.

torchmetrics counts the pixels. Its Jaccard index is not used: it is float32, and gives 0 to a class
in neither truth nor prediction, which the field leaves out of the mean.

Shapes: H x W pixels. Ids: 0 background, c + 1 for foreground class c, 255 ignored.
"""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_confusion_matrix
from typing_extensions import override

from oaa_pl.errors import BadMaskError
from oaa_pl.ids import IGNORED

__all__ = ["SegmentationScore", "iou_per_class", "mean_ratio", "require_ids", "require_shape"]


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
    foreign: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.add_state("confusion", counts, dist_reduce_fx="sum")
        for name in ("abstained", "foreign"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @override
    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Count pixels: prediction and truth hold ids 0..C or 255, any equal shape.

        Raises:
            BadMaskError: if the shapes differ, or a value is not such an id. On a GPU foreign ids
                are counted here and refused by `compute`: to look at each step's would be slow.
        """
        require_shape("prediction", prediction, truth)
        if truth.device.type == "cpu":
            require_ids("prediction", prediction, self.num_classes)
            require_ids("truth", truth, self.num_classes)
            valid = (truth != IGNORED).flatten()
        else:
            foreign = _foreign(prediction, self.num_classes) | _foreign(truth, self.num_classes)
            self.foreign += foreign.sum()
            valid = ((truth != IGNORED) & ~foreign).flatten()
        prediction, truth = prediction.flatten().long(), truth.flatten().long()
        self.abstained += (valid & (prediction == IGNORED)).sum()
        valid &= prediction != IGNORED
        self.confusion += multiclass_confusion_matrix(
            prediction[valid], truth[valid], self.num_classes, validate_args=False
        )

    @override
    def compute(self) -> dict[str, Tensor]:
        """`miou`, `precision`, `recall` (foreground means) and `coverage`, each in [0, 1].

        Raises:
            BadMaskError: if a pixel had no known id.
        """
        if self.foreign > 0:
            raise BadMaskError(
                f"{int(self.foreign)} pixels have ids other than 0..{self.num_classes - 1} and "
                f"{IGNORED} (ignored): correct the masks or the list of classes"
            )
        # On the CPU: Apple's GPUs have no float64.
        confusion = self.confusion.cpu().double()
        hits = confusion.diagonal()
        labelled = confusion.sum()
        total = labelled + self.abstained.cpu()
        return {
            "miou": iou_per_class(self.confusion.cpu()).nanmean(),
            "precision": mean_ratio(hits, confusion.sum(0)),
            "recall": mean_ratio(hits, confusion.sum(1)),
            "coverage": labelled / total if total > 0 else torch.tensor(torch.nan),
        }


def mean_ratio(hits: Tensor, total: Tensor) -> Tensor:
    """Mean over the foreground classes that have any pixel.

    Args:
        hits: pixels found of each class, float64, (..., C + 1).
        total: pixels to divide them by, (..., C + 1).

    Returns:
        The mean in [0, 1], (...); NaN if no foreground class has any.
    """
    ratio = hits / total.where(total > 0, torch.nan)
    return ratio[..., 1:].nanmean(-1)


def require_shape(what: str, found: Tensor, truth: Tensor) -> None:
    """Refuse a map of another size than the truth.

    Args:
        what: name of the map in the message.
        found: anything per pixel, (H, W) or of any shape.
        truth: of the same shape, (H, W).

    Raises:
        BadMaskError: if the shapes differ.
    """
    if found.shape != truth.shape:
        raise BadMaskError(
            f"{what} and truth must have one shape, got {tuple(found.shape)} and "
            f"{tuple(truth.shape)}: bring the {what} to the photo's size"
        )


def require_ids(what: str, ids: Tensor, num_classes: int) -> None:
    """Refuse a label map with another value than 0..C and 255.

    Args:
        what: name of the map in the message.
        ids: of any shape and type.
        num_classes: C + 1.

    Raises:
        BadMaskError: if a value is not such an id.
    """
    foreign = ids[_foreign(ids, num_classes)]
    if len(foreign):
        shown = [round(value, 4) for value in sorted(set(foreign.tolist()))[:5]]
        raise BadMaskError(
            f"{what} has the ids {shown}, expected 0..{num_classes - 1} (0 = background) or "
            f"{IGNORED} (ignored): correct the mask or the list of classes"
        )


def _foreign(ids: Tensor, num_classes: int) -> Tensor:
    """Where a label map has an unknown id; a fraction is one, and so is NaN."""
    ids = ids if ids.dtype != torch.uint8 else ids.long()
    known = ((ids >= 0) & (ids < num_classes)) | (ids == IGNORED)
    return ~known | (ids != ids.long()) if ids.is_floating_point() else ~known
