"""Stage 2: the integral attention model, supervised by the cumulative maps (OAA+).

Source: Jiang et al., ICCV 2019, section 3.3, Eqs. (6)-(9). The network is the classifier's
without the pooling; only its loss differs.

Shapes: B images, C foreground classes, h x w cells.
"""

from collections.abc import Callable

from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.attention.view import apply_view
from oaa_pl.modules.recipe import part
from oaa_pl.modules.stage import OptimizerFactory, Recipe, ScheduleFactory, StageModule
from oaa_pl.types import Batch, StepOutput

__all__ = ["IntegralAttention"]


class IntegralAttention(StageModule):
    """A score map trained cell by cell against cumulative attention.

    Args:
        net: images (B, 3, H, W) to score maps (B, C, h, w).
        loss: from score map and soft label, both (B, C, h, w), to a scalar: Eq. (6) or (9).
        optimizer: makes the optimiser from the network.
        schedule: makes the schedule from the optimiser and the number of steps.
        channels_last: memory format of images and weights.
        recipe: plain calls that make `net`, `loss`, `optimizer`, `schedule`, for the checkpoint.
    """

    def __init__(
        self,
        net: nn.Module | Recipe | None = None,
        loss: Callable[[Tensor, Tensor], Tensor] | Recipe | None = None,
        optimizer: OptimizerFactory | Recipe | None = None,
        schedule: ScheduleFactory | Recipe | None = None,
        channels_last: bool = False,
        recipe: Recipe | None = None,
    ) -> None:
        super().__init__(net, optimizer, schedule, channels_last, recipe, loss=loss)
        self.loss: Callable[[Tensor, Tensor], Tensor] = part(loss, "loss")

    @override
    def training_step(self, batch: Batch) -> StepOutput:
        score_map = self(batch["image"])
        height, width = score_map.shape[2:]
        # The store knows the whole photo; the network saw a flipped, perhaps cropped view of it.
        soft_label = apply_view(batch["soft_label"], batch["view"], (height, width))
        loss = self.loss(score_map, soft_label)
        self.log_loss(loss, len(batch["labels"]))
        return {"loss": loss, "score_map": score_map.detach()}
