"""Stage 1: the classifier whose attention is accumulated while it trains on tags.

Source: Jiang et al., ICCV 2019, section 3.1, Eq. (1).

Shapes: B images, C foreground classes, H x W pixels, h x w cells.
"""

from torch import nn
from typing_extensions import override

from oaa_pl.losses import image_level_loss, image_scores
from oaa_pl.metrics import MeanAveragePrecision
from oaa_pl.modules.recipe import part
from oaa_pl.modules.stage import OptimizerFactory, Recipe, ScheduleFactory, StageModule
from oaa_pl.types import Batch, StepOutput

__all__ = ["Classifier"]


class Classifier(StageModule):
    """Multi-label classifier by global average pooling of a score map, Eq. (1).

    Its training step also returns the score map, for the accumulation callback.

    Args:
        net: images (B, 3, H, W) to score maps (B, C, h, w).
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
        self.average_precision = MeanAveragePrecision(part(num_classes, "num_classes"))

    @override
    def training_step(self, batch: Batch) -> StepOutput:
        score_map = self(batch["image"])
        loss = image_level_loss(score_map, batch["labels"])
        self.log_loss(loss, len(batch["labels"]))
        # Lightning detaches the loss alone; the callback keeps the rest until the epoch's end.
        return {"loss": loss, "score_map": score_map.detach()}

    @override
    def validation_step(self, batch: Batch) -> None:
        score_map = self(batch["image"])
        loss = image_level_loss(score_map, batch["labels"])
        # Copies that pad the processes to equal length would count twice. Only updated, not called:
        # a batch has no average precision of its own where one of the classes is missing.
        once = ~batch["repeat"]
        probabilities = image_scores(score_map).sigmoid()
        self.average_precision.update(probabilities[once], batch["labels"][once])
        images = len(batch["labels"])
        self.log("val/loss", loss, batch_size=images, sync_dist=True)
        self.log("val/map", self.average_precision, prog_bar=True, batch_size=images)
