"""A loss that is no number stops the training before a checkpoint keeps it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer

from oaa_pl.callbacks.divergence import StopIfDiverged
from oaa_pl.errors import DivergedError


def look(loss: Any, batch_idx: int, *, last: bool = False, every: int = 50) -> None:
    trainer = cast(Trainer, SimpleNamespace(is_last_batch=last, current_epoch=3))
    module = cast(LightningModule, None)
    StopIfDiverged(every).on_train_batch_end(trainer, module, loss, None, batch_idx)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_is_refused_with_its_place(value: float) -> None:
    with pytest.raises(DivergedError, match=r"epoch 3, batch 49: .* lower the stage's optimizer"):
        look({"loss": torch.tensor(value)}, 49)


def test_a_module_may_return_the_bare_loss() -> None:
    with pytest.raises(DivergedError, match="the loss is nan"):
        look(torch.tensor(float("nan")), 49)


def test_the_last_batch_of_an_epoch_is_always_looked_at() -> None:
    with pytest.raises(DivergedError, match="batch 3"):
        look(torch.tensor(float("nan")), 3, last=True)


def test_a_finite_loss_a_skipped_step_and_a_batch_between_two_looks_pass() -> None:
    look(torch.tensor(1e30), 49)
    look(None, 49)
    look(torch.tensor(float("nan")), 48)


def test_a_loss_that_was_no_number_is_found_behind_one_that_is() -> None:
    trainer = cast(Trainer, SimpleNamespace(is_last_batch=False, current_epoch=0))
    module, callback = cast(LightningModule, None), StopIfDiverged(every=3)
    callback.on_train_batch_end(trainer, module, torch.tensor(1.0), None, 0)
    callback.on_train_batch_end(trainer, module, torch.tensor(float("nan")), None, 1)
    # A dead segmenter's loss is 0 where every pixel of a batch is ignored.
    with pytest.raises(DivergedError, match="the loss is nan in epoch 0, batch 2"):
        callback.on_train_batch_end(trainer, module, torch.tensor(0.0), None, 2)


def test_an_epoch_that_is_cut_short_is_looked_at_before_its_checkpoint() -> None:
    trainer = cast(Trainer, SimpleNamespace(is_last_batch=False, current_epoch=0))
    module, callback = cast(LightningModule, None), StopIfDiverged()
    callback.on_train_batch_end(trainer, module, torch.tensor(float("inf")), None, 7)
    with pytest.raises(DivergedError, match="the loss is inf in epoch 0, batch 7"):
        callback.on_train_epoch_end(trainer, module)
    callback.on_train_epoch_start(trainer, module)
    callback.on_train_epoch_end(trainer, module)
