"""Stop a training whose loss is no number any more, before a checkpoint keeps it."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from oaa_pl.errors import DivergedError

__all__ = ["StopIfDiverged"]


class StopIfDiverged(Callback):
    """Looks at the loss every few steps, and before each epoch's checkpoint.

    Args:
        every: steps between two looks; each makes a GPU wait once.

    Raises:
        DivergedError: in training, when the loss is NaN or infinite.
    """

    def __init__(self, every: int = 50) -> None:
        self.every = every

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: object,
        batch_idx: int,
    ) -> None:
        if (batch_idx + 1) % self.every and not trainer.is_last_batch:
            return
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        # A step may be skipped by returning nothing.
        if loss is not None and not torch.isfinite(loss):
            raise DivergedError(
                f"the loss is {float(loss)} in epoch {trainer.current_epoch}, batch {batch_idx}: "
                "the training has diverged; lower the stage's optimizer.lr. The last checkpoint "
                "is from before"
            )
