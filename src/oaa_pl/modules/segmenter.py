"""Stage 3: a segmentation network trained on proxy labels.

Source: Jiang et al., ICCV 2019, section 4.1; Chen et al., "DeepLab", TPAMI 2017.

Shapes: B images, C foreground classes, H x W pixels, h x w cells.
"""

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.ids import IGNORED
from oaa_pl.modules.stage import OptimizerFactory, Recipe, ScheduleFactory, StageModule
from oaa_pl.types import Batch

__all__ = ["Segmenter"]


class Segmenter(StageModule):
    """Per-pixel classification into background and C classes, ignoring pixels labelled 255.

    Args:
        net: images (B, 3, H, W) to logits (B, C + 1, h, w).
        optimizer: makes the optimiser from the network.
        schedule: makes the schedule from the optimiser and the number of steps.
        channels_last: memory format of images and weights.
        recipe: plain calls that make `net`, `optimizer` and `schedule`, for the checkpoint.
    """

    def __init__(
        self,
        net: nn.Module | Recipe | None = None,
        optimizer: OptimizerFactory | Recipe | None = None,
        schedule: ScheduleFactory | Recipe | None = None,
        channels_last: bool = False,
        recipe: Recipe | None = None,
    ) -> None:
        # Lightning drops recorded values that a constructor does not name.
        super().__init__(net, optimizer, schedule, channels_last, recipe)

    @override
    def training_step(self, batch: Batch) -> Tensor:
        target = batch["target"]
        logits = F.interpolate(
            self(batch["image"]).float(), target.shape[1:], mode="bilinear", align_corners=False
        )
        total = F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="sum")
        # A batch whose every pixel is ignored teaches nothing; a mean over none of them is NaN.
        loss = total / (target != IGNORED).sum().clamp(min=1)
        self.log_loss(loss, len(target))
        return loss
