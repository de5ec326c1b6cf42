"""Mean average precision of a multi-label classifier.

Shapes: B images, C foreground classes.
"""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_average_precision
from torchmetrics.utilities import dim_zero_cat
from typing_extensions import override

from oaa_pl.errors import ConfigError

__all__ = ["MeanAveragePrecision"]


class MeanAveragePrecision(Metric):
    """Average precision of each class over a data set, averaged over the classes that occur.

    A class without one positive image has no average precision (no recall can be formed), so it
    is left out, as mIoU leaves out a class in neither truth nor prediction.

    Args:
        num_classes: C, foreground classes, 1 or more.
    """

    full_state_update = False
    scores: list[Tensor]
    labels: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        for name in ("scores", "labels"):
            self.add_state(name, [], dist_reduce_fx="cat")

    @override
    def update(self, scores: Tensor, labels: Tensor) -> None:
        """Keep a batch: scores in [0, 1] and labels in {0, 1}, both (B, C).

        Raises:
            ConfigError: if a shape is another one.
        """
        if scores.shape != labels.shape or scores.shape[1:] != (self.num_classes,):
            raise ConfigError(
                f"average precision: expected scores and labels (B, {self.num_classes}), got "
                f"{tuple(scores.shape)} and {tuple(labels.shape)}"
            )
        self.scores.append(scores.detach())
        self.labels.append(labels.detach().long())

    @override
    def compute(self) -> Tensor:
        """The mean in [0, 1], a scalar; NaN if no class has a positive image."""
        if not len(self.labels):  # a list of batches; several processes' are one tensor
            return torch.tensor(torch.nan)
        scores, labels = dim_zero_cat(self.scores), dim_zero_cat(self.labels)
        occurring = labels.any(dim=0).nonzero().flatten().tolist()
        each = [binary_average_precision(scores[:, c], labels[:, c]) for c in occurring]
        return torch.stack(each).mean() if each else scores.new_tensor(torch.nan)
