"""What the three stages share: a network, its optimiser and its schedule, wired into Lightning."""

from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.modules.stock import OptimizerFactory, ScheduleFactory, make_optimizer, make_schedule

__all__ = ["OptimizerFactory", "ScheduleFactory", "StageModule"]


class StageModule(LightningModule):
    """A network with its optimiser; subclasses add the loss of their stage.

    Args:
        net: images (B, 3, H, W) to class maps (B, classes, h, w); has `trunk` and `head`.
        optimizer: makes the optimiser from the network; or a class of `torch.optim`.
        schedule: makes the schedule from the optimiser and the number of steps; or a class of
            `torch.optim.lr_scheduler`.
        channels_last: memory format; on CPUs twice as fast for convolutions in bfloat16.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.net = net.to(memory_format=self.memory_format)
        self.make_optimizer, self.make_schedule = optimizer, schedule

    @override
    def forward(self, image: Tensor) -> Tensor:
        maps: Tensor = self.net(image.contiguous(memory_format=self.memory_format))
        return maps

    @override
    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = make_optimizer(self.make_optimizer, self.net)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = make_schedule(self.make_schedule, optimizer, steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def log_loss(self, loss: Tensor, images: int) -> None:
        """Log the training loss of one batch, averaged over the epoch too."""
        self.log("train/loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=images)

    @override
    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        loaded = super().load_state_dict(state_dict, *args, **kwargs)
        self.net.to(memory_format=self.memory_format)
        return loaded
