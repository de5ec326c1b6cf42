from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from oaa_pl.callbacks.epoch_seed import EpochSeed


def drawn(seed: int = 0, epoch: int = 0, rank: int = 0) -> Tensor:
    trainer = SimpleNamespace(current_epoch=epoch, global_rank=rank)
    EpochSeed(seed).on_train_epoch_start(trainer, None)  # type: ignore[arg-type]  # a stand-in
    return torch.rand(4)


def test_an_epoch_draws_what_it_drew_before() -> None:
    before = drawn(epoch=3)
    torch.rand(100)
    assert torch.equal(drawn(epoch=3), before)


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}, {"rank": 1}])
def test_seeds_epochs_and_ranks_draw_differently(change: dict[str, int]) -> None:
    assert not torch.equal(drawn(**change), drawn())


def test_a_seed_and_an_epoch_are_not_mixed_up() -> None:
    assert not torch.equal(drawn(seed=1, epoch=2), drawn(seed=2, epoch=1))
    assert not torch.equal(drawn(seed=1, epoch=11), drawn(seed=11, epoch=1))
