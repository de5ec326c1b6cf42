"""Stage 3: a segmentation network trained on proxy labels.

Source: Jiang et al., ICCV 2019, section 4.1; Chen et al., "DeepLab", TPAMI 2017.

Shapes: B images, C foreground classes, H x W pixels, h x w cells.
"""

import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from oaa_pl.ids import IGNORED
from oaa_pl.modules.stage import StageModule
from oaa_pl.types import Batch

__all__ = ["Segmenter"]


class Segmenter(StageModule):
    """Per-pixel classification into background and C classes, ignoring pixels labelled 255.

    Args:
        net: images (B, 3, H, W) to logits (B, C + 1, h, w).
        optimizer: makes the optimiser from the network.
        schedule: makes the schedule from the optimiser and the number of steps.
        channels_last: memory format of images and weights.
    """

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
