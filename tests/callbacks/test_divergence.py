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
