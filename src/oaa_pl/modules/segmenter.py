"""Stage 3: a segmentation network trained on proxy labels.

Source: Jiang et al., ICCV 2019, section 4.1; Chen et al., "DeepLab", TPAMI 2017.

Shapes: B images, C foreground classes, H x W pixels, h x w cells.
"""

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.ids import IGNORED
from oaa_pl.metrics import SegmentationScore
from oaa_pl.modules.recipe import part
from oaa_pl.modules.stage import OptimizerFactory, Recipe, ScheduleFactory, StageModule
from oaa_pl.types import Batch

__all__ = ["Segmenter"]


class Segmenter(StageModule):
    """Per-pixel classification into background and C classes, ignoring pixels labelled 255.

    Args:
        net: images (B, 3, H, W) to logits (B, C + 1, h, w).
        optimizer: makes the optimiser from the network.
        schedule: makes the schedule from the optimiser and the number of steps.
        num_classes: C, for the validation metric.
        channels_last: memory format of images and weights.
        recipe: plain calls that make `net`, `optimizer` and `schedule`, for the checkpoint.
    """

    def __init__(
        self,
        net: nn.Module | Recipe | None = None,
        optimizer: OptimizerFactory | Recipe | None = None,
        schedule: ScheduleFactory | Recipe | None = None,
        num_classes: int | None = None,
        channels_last: bool = False,
        recipe: Recipe | None = None,
    ) -> None:
        super().__init__(net, optimizer, schedule, channels_last, recipe, num_classes=num_classes)
        self.score = SegmentationScore(part(num_classes, "num_classes") + 1)

    @override
    def training_step(self, batch: Batch) -> Tensor:
        target = batch["target"]
        logits = self._logits(batch)
        total = F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="sum")
        # A batch whose every pixel is ignored teaches nothing; a mean over none of them is NaN.
        loss = total / (target != IGNORED).sum().clamp(min=1)
        self.log_loss(loss, len(target))
        return loss

    @override
    def validation_step(self, batch: Batch) -> None:
        # At the network's input: the photo's own size and several scales are for `oaa evaluate`.
        # Copies that pad the processes to equal length would count twice.
        once = ~batch["repeat"]
        self.score.update(self._logits(batch).argmax(dim=1)[once], batch["target"][once])

    @override
    def on_validation_epoch_end(self) -> None:
        self.log("val/miou", float(self.score.compute()["miou"]), prog_bar=True)
        self.score.reset()

    def _logits(self, batch: Batch) -> Tensor:
        """Logits at the target's size, (B, C + 1, H, W) float32."""
        size = batch["target"].shape[1:]
        return F.interpolate(
            self(batch["image"]).float(), size, mode="bilinear", align_corners=False
        )
