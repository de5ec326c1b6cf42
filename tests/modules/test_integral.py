from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.modules.tiny import (
    OPTIMIZER,
    SCHEDULE,
    TinyNet,
    loader,
    quiet_trainer,
    step_alone,
    whole,
)
from torch import Tensor

from oaa_pl.losses import hybrid_loss, soft_label_cross_entropy
from oaa_pl.modules.integral import IntegralAttention

FLIP = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


# The same convolution twice: float32 has 24 bits, and a few dozen products are summed.
CONVOLVED = {"rtol": 1e-5, "atol": 1e-5}


def soft_labels(side: int = 4) -> Tensor:
    labels = torch.rand(6, 3, side, side, generator=torch.Generator().manual_seed(5))
    return labels.where(labels > 0.4, 0)


def module_with(loss: Callable[[Tensor, Tensor], Tensor]) -> IntegralAttention:
    return IntegralAttention(TinyNet(dropout=0), loss, OPTIMIZER, SCHEDULE)


def test_a_step_compares_the_score_map_with_the_soft_label() -> None:
    for loss in (hybrid_loss, soft_label_cross_entropy):
        module, batch = module_with(loss), whole(soft_label=soft_labels())
        output = step_alone(module, batch)
        expected = loss(output["score_map"], soft_labels())
        # The same score map; the soft label went through its view, in float32.
        assert torch.allclose(output["loss"], expected, atol=1e-6)
        torch.testing.assert_close(output["score_map"], module(batch["image"]), **CONVOLVED)
        assert not output["score_map"].requires_grad


def test_the_soft_label_is_seen_through_the_samples_view() -> None:
    seen: list[Tensor] = []

    def keep(score_map: Tensor, soft_label: Tensor) -> Tensor:
        seen.append(soft_label)
        return hybrid_loss(score_map, soft_label)

    batch = whole(soft_label=soft_labels())
    batch["view"][1::2] = FLIP
    step_alone(module_with(keep), batch)
    expected = soft_labels()
    expected[1::2] = expected[1::2].flip(3)
    assert torch.allclose(seen[0], expected, atol=1e-6)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("grid", [5, 12, 24, 28, 32, 56])
def test_cells_that_were_never_attended_are_pushed_down_in_the_flip_too(
    grid: int, autocast: bool
) -> None:
    # N+ and N- of Eqs. (7) and (8): one cell in fifty used to change sides at 24 cells.
    seen: list[Tensor] = []

    def keep(score_map: Tensor, soft_label: Tensor) -> Tensor:
        seen.append(soft_label)
        return hybrid_loss(score_map, soft_label)

    batch = whole(soft_label=soft_labels(grid))
    batch["image"] = torch.rand(6, 3, 2 * grid, 2 * grid)
    batch["view"][1::2] = FLIP
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        step_alone(module_with(keep), batch)
    expected = soft_labels(grid)
    expected[1::2] = expected[1::2].flip(3)
    assert torch.equal(seen[0] > 0, expected > 0)
    assert torch.equal(seen[0], expected)


def test_the_soft_label_comes_in_the_score_maps_size_whatever_the_stores_grid() -> None:
    seen: list[Tensor] = []

    def keep(score_map: Tensor, soft_label: Tensor) -> Tensor:
        seen.append(soft_label)
        return hybrid_loss(score_map, soft_label)

    step_alone(module_with(keep), whole(soft_label=torch.ones(6, 3, 40, 30)))
    assert torch.allclose(seen[0], torch.ones(6, 3, 4, 4))


def test_a_class_that_was_never_attended_stays_empty_in_every_view() -> None:
    seen: list[Tensor] = []

    def keep(score_map: Tensor, soft_label: Tensor) -> Tensor:
        seen.append(soft_label)
        return hybrid_loss(score_map, soft_label)

    labels = soft_labels()
    labels[:, 1] = 0
    batch = whole(soft_label=labels)
    batch["view"][:] = torch.tensor([[1.3, 0.4, 0.1], [-0.4, 1.3, 0.2]])
    step_alone(module_with(keep), batch)
    assert not seen[0][:, 1].any()


def test_training_with_the_hybrid_loss_raises_the_attended_cells(tmp_path: Path) -> None:
    batch = whole(soft_label=soft_labels())
    module = module_with(hybrid_loss)
    before = hybrid_loss(module(batch["image"]), soft_labels()).item()
    trainer = quiet_trainer(tmp_path, max_epochs=10)
    trainer.fit(module, loader(soft_label=soft_labels()))
    assert hybrid_loss(module(batch["image"]), soft_labels()).item() < before - 0.05
