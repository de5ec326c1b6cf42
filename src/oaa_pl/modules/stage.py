"""What the three stages share: a network, its optimiser and its schedule, wired into Lightning."""

from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.errors import RunMismatchError
from oaa_pl.modules.recipe import Recipe, part, recorded
from oaa_pl.modules.stock import OptimizerFactory, ScheduleFactory, make_optimizer, make_schedule

__all__ = ["OptimizerFactory", "Recipe", "ScheduleFactory", "StageModule"]


class StageModule(LightningModule):
    """A network with its optimiser; subclasses add the loss of their stage.

    Args:
        net: images (B, 3, H, W) to class maps (B, classes, h, w); has `trunk` and `head`.
        optimizer: makes the optimiser from the network; or a class of `torch.optim`.
        schedule: makes the schedule from the optimiser and the number of steps; or a class of
            `torch.optim.lr_scheduler`.
        channels_last: memory format; on CPUs twice as fast for convolutions in bfloat16.
        recipe: the calls that make the parts above, by their names: plain mappings with `_target_`.
            A checkpoint holds them, so that `load_from_checkpoint(path)` needs nothing else.
        **more: a subclass's own arguments, for the checkpoint.

    Each part may be given as its recipe instead.

    Raises:
        ConfigError: if a recipe calls code of another package.
        WeightsError: if a part is neither given nor recorded, or cannot be made.
    """

    def __init__(
        self,
        net: nn.Module | Recipe | None = None,
        optimizer: OptimizerFactory | Recipe | None = None,
        schedule: ScheduleFactory | Recipe | None = None,
        channels_last: bool = False,
        recipe: Recipe | None = None,
        **more: Any,
    ) -> None:
        super().__init__()
        given = {"net": net, "optimizer": optimizer, "schedule": schedule, **more}
        if arguments := recorded(recipe, {**given, "channels_last": channels_last}):
            self.save_hyperparameters(arguments, logger=False)  # it has the whole configuration
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.net: nn.Module = part(net, "net").to(memory_format=self.memory_format)
        self.make_optimizer = part(optimizer, "optimizer")
        self.make_schedule = part(schedule, "schedule")

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

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # An optimiser's state identifies parameters only by their order. With other groups, torch
        # would raise an unnamed error, or give a parameter the momentum of another.
        states = checkpoint.get("optimizer_states")
        if states and self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING:
            saved, own = (
                _groups(states[0]),
                _groups(make_optimizer(self.make_optimizer, self.net).state_dict()),
            )
            if saved != own:
                raise RunMismatchError(
                    f"the checkpoint's optimiser has other groups of parameters than this one: "
                    f"{saved}, expected {own}; give the optimizer the settings that the checkpoint "
                    "was made with (until rates went by layer: fast=null), or train again"
                )

    def log_loss(self, loss: Tensor, images: int) -> None:
        """Log the training loss of one batch, averaged over the epoch too."""
        self.log("train/loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=images)

    @override
    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        loaded = super().load_state_dict(state_dict, *args, **kwargs)
        self.net.to(memory_format=self.memory_format)
        return loaded


def _groups(state: dict[str, Any]) -> str:
    """An optimiser's groups, by name or number, and how many parameters each has."""
    return ", ".join(
        f"{group.get('name', place)} ({len(group['params'])})"
        for place, group in enumerate(state["param_groups"])
    )
