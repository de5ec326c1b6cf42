"""Stop a training whose loss became NaN or infinite, before a checkpoint keeps it."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from oaa_pl.errors import DivergedError

__all__ = ["StopIfDiverged"]


class StopIfDiverged(Callback):
    """Looks at the losses every few steps, and before each epoch's checkpoint.

    Every loss is added to a sum that stays on its device, and only the sum is checked: a segmenter
    whose weights are NaN has a loss of 0 on a batch whose every pixel is ignored.

    Args:
        every: steps between two looks; each makes a GPU wait once.

    Raises:
        DivergedError: in training, when a loss is NaN or infinite.
    """

    def __init__(self, every: int = 50) -> None:
        self.every = every
        self._batch = 0
        self._sum: Tensor | None = None  # a zero of the host would make a GPU wait for its copy

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._sum = None

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: object,
        batch_idx: int,
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        self._batch = batch_idx
        if loss is not None:  # a step may be skipped by returning nothing
            # A copy: a compiled step may write its next loss to the same place.
            loss = loss.detach().to(torch.float32, copy=True)
            self._sum = loss if self._sum is None else self._sum + loss
        if (batch_idx + 1) % self.every == 0 or trainer.is_last_batch:
            self._look(trainer)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # An epoch that `max_steps` cuts short has no last batch, but it has a checkpoint.
        self._look(trainer)

    def _look(self, trainer: Trainer) -> None:
        if self._sum is not None and not torch.isfinite(self._sum):
            raise DivergedError(
                f"the loss is {float(self._sum)} in epoch {trainer.current_epoch}, batch "
                f"{self._batch}: the training has diverged there or shortly before; lower the "
                "stage's optimizer.lr. The last checkpoint is from an earlier epoch"
            )
