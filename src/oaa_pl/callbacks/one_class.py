"""Warn of a segmenter that predicts one class for every pixel after its first epoch.

Random layers behind a trunk, without batch norm and at low rates, can predict background only
for a whole training, although its loss falls.

Shapes: B images, C foreground classes, H x W pixels.
"""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from oaa_pl.callbacks.lightning import Callback, LightningModule, Trainer
from oaa_pl.ids import IGNORED
from oaa_pl.nets.probe import evaluating

__all__ = ["WarnIfOneClass"]

log = logging.getLogger(__name__)


class WarnIfOneClass(Callback):
    """Looks at the predictions on the last batches of a segmenter's first epoch.

    The training is not changed: the batches are run in evaluation mode, without gradients. A
    training whose batches have no `target` (B, H, W) is left alone.

    Args:
        batches: how many batches to look at, 1 or more.
    """

    only_looks: ClassVar[bool] = True

    def __init__(self, batches: int = 8) -> None:
        self.batches = batches
        self._predicted: set[int] = set()
        self._labelled: set[int] = set()

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._predicted, self._labelled = set(), set()

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: Any,
        batch_idx: int,
    ) -> None:
        last = batch_idx + self.batches >= trainer.num_training_batches
        if trainer.current_epoch or not last or "target" not in batch:
            return
        with torch.no_grad(), evaluating(pl_module), trainer.precision_plugin.forward_context():
            predicted = pl_module(batch["image"]).argmax(dim=1)
        self._predicted |= set(predicted.unique().tolist())
        self._labelled |= set(batch["target"].unique().tolist()) - {IGNORED}

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if len(self._predicted) != 1 or len(self._labelled) < 2 or not trainer.is_global_zero:
            return
        (found,) = self._predicted
        name = "background" if found == 0 else f"class {found}"
        log.warning(
            "after its first epoch the segmenter calls every pixel %s, on images whose labels have "
            "%d classes. If this continues: change the rate (segmenter.optimizer.lr: lower if "
            "net.freeze_norm is true, else higher), train all of the head at the fast rate "
            "(segmenter.optimizer.fast=null), give it more steps, or take a head with batch norm "
            "(oaa_pl.nets.small_head.SmallHeadNet)",
            name,
            len(self._labelled),
        )
