import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oaa_pl.losses import (
    hybrid_loss,
    image_level_loss,
    image_scores,
    pooled_hybrid_loss,
    soft_label_cross_entropy,
)

Loss = Callable[[Tensor, Tensor], Tensor]

PER_CELL: list[Loss] = [soft_label_cross_entropy, hybrid_loss, pooled_hybrid_loss]
QUICK = settings(max_examples=25, deadline=None, derandomize=True)
SEEDS = st.integers(0, 10_000)


def example(seed: int, shape: tuple[int, ...] = (2, 3, 4, 5)) -> tuple[Tensor, Tensor]:
    """A score map, and a soft label of which about half is empty."""
    generator = torch.Generator().manual_seed(seed)
    score_map = 3 * torch.randn(shape, generator=generator)
    soft_label = torch.rand(shape, generator=generator)
    return score_map, soft_label.where(torch.rand(shape, generator=generator) < 0.5, 0)


def sigma(score: Tensor) -> float:
    return 1 / (1 + math.exp(-float(score)))


def oracle_image_level(score_map: Tensor, labels: Tensor) -> float:
    batch, classes, height, width = score_map.shape
    total = 0.0
    for b in range(batch):
        for c in range(classes):
            score = sum(float(x) for x in score_map[b, c].flatten()) / (height * width)
            p = sigma(torch.tensor(score))
            total -= math.log(p) if labels[b, c] else math.log(1 - p)
    return total / (batch * classes)


def oracle_cross_entropy(score_map: Tensor, soft_label: Tensor) -> float:
    batch, classes, height, width = score_map.shape
    total = 0.0
    for b in range(batch):
        for c in range(classes):
            for y in range(height):
                for x in range(width):
                    p, q = float(soft_label[b, c, y, x]), sigma(score_map[b, c, y, x])
                    cell = p * math.log(q) + (1 - p) * math.log(1 - q)  # Eq. (6)
                    total -= cell / (height * width)
    return total / batch


def oracle_hybrid(score_map: Tensor, soft_label: Tensor) -> float:
    batch, classes = score_map.shape[:2]
    total = 0.0
    for b in range(batch):
        for c in range(classes):
            pairs = list(zip(soft_label[b, c].flatten(), score_map[b, c].flatten(), strict=True))
            gains = [-float(p) * math.log(sigma(s)) for p, s in pairs if p > 0]  # Eq. (7)
            restraints = [-math.log(1 - sigma(s)) for p, s in pairs if p == 0]  # Eq. (8)
            for region in (gains, restraints):
                total += sum(region) / max(1, len(region))  # Eq. (9)
    return total / batch


def oracle_pooled(score_map: Tensor, soft_label: Tensor, threshold: float) -> float:
    batch = len(score_map)
    total = 0.0
    for b in range(batch):
        pairs = list(zip(soft_label[b].flatten(), score_map[b].flatten(), strict=True))
        gains = [-float(p) * math.log(sigma(s)) for p, s in pairs if p > threshold]
        restraints = [-math.log(1 - sigma(s)) for p, s in pairs if p <= threshold]
        for region in (gains, restraints):
            total += sum(region) / max(1, len(region))
    return total / batch


def gradient(loss: Tensor, score_map: Tensor) -> Tensor:
    return torch.autograd.grad(loss, score_map)[0]


def test_the_score_of_a_class_is_its_mean_over_the_map() -> None:
    score_map, _ = example(0)
    for b in range(2):
        for c in range(3):
            mean = sum(float(x) for x in score_map[b, c].flatten()) / 20
            assert float(image_scores(score_map)[b, c]) == pytest.approx(mean, abs=1e-5)


def test_scores_of_a_half_precision_map_are_summed_in_float32() -> None:
    # 4096 cells of 2049 would overflow float16 long before the mean is taken.
    scores = image_scores(torch.full((1, 1, 64, 64), 2048.0, dtype=torch.float16))
    assert scores.dtype == torch.float32
    assert scores.item() == 2048


@QUICK
@given(SEEDS)
def test_the_image_level_loss_is_equation_1_in_plain_loops(seed: int) -> None:
    score_map, soft_label = example(seed)
    labels = (soft_label.amax(dim=(2, 3)) > 0.8).float()
    expected = oracle_image_level(score_map, labels)
    assert float(image_level_loss(score_map, labels)) == pytest.approx(expected, rel=1e-4)


def test_the_image_level_loss_of_an_undecided_network_is_the_logarithm_of_two() -> None:
    loss = image_level_loss(torch.zeros(2, 3, 4, 4), torch.ones(2, 3))
    assert float(loss) == pytest.approx(math.log(2))


@QUICK
@given(SEEDS)
def test_the_cross_entropy_is_equation_6_in_plain_loops(seed: int) -> None:
    score_map, soft_label = example(seed)
    expected = oracle_cross_entropy(score_map, soft_label)
    assert float(soft_label_cross_entropy(score_map, soft_label)) == pytest.approx(expected, 1e-4)


@QUICK
@given(SEEDS)
def test_the_hybrid_loss_is_equations_7_to_9_in_plain_loops(seed: int) -> None:
    score_map, soft_label = example(seed)
    expected = oracle_hybrid(score_map, soft_label)
    assert float(hybrid_loss(score_map, soft_label)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("threshold", [0.0, 0.001, 0.5])
def test_the_pooled_loss_averages_once_over_all_classes(threshold: float) -> None:
    score_map, soft_label = example(7)
    expected = oracle_pooled(score_map, soft_label, threshold)
    loss = pooled_hybrid_loss(score_map, soft_label, threshold)
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_for_one_class_pooling_changes_nothing() -> None:
    score_map, soft_label = example(1, (3, 1, 4, 4))
    pooled = pooled_hybrid_loss(score_map, soft_label)
    assert torch.allclose(pooled, hybrid_loss(score_map, soft_label))


@QUICK
@given(SEEDS)
def test_the_hybrid_loss_never_pushes_an_attended_cell_down(seed: int) -> None:
    score_map, soft_label = example(seed)
    score_map.requires_grad_()
    for loss in (hybrid_loss, pooled_hybrid_loss):
        slope = gradient(loss(score_map, soft_label), score_map)
        # A step goes against the slope: attended cells up, empty cells down.
        assert (slope[soft_label > 0] < 0).all()
        assert (slope[soft_label == 0] > 0).all()


def test_an_attended_cell_is_pushed_harder_the_more_it_was_attended() -> None:
    score_map = torch.zeros(1, 1, 1, 4, requires_grad=True)
    soft_label = torch.tensor([[[[0.1, 0.4, 0.7, 1.0]]]])
    pushes = -gradient(hybrid_loss(score_map, soft_label), score_map).flatten()
    assert (pushes.diff() > 0).all()
    assert torch.allclose(pushes, soft_label.flatten() * 0.5 / 4)


def test_cross_entropy_settles_weakly_attended_cells_as_background() -> None:
    # The reason for the hybrid loss: a cell with p = 0.3 that is at q = 0.5 is pushed down.
    score_map = torch.zeros(1, 1, 1, 2, requires_grad=True)
    soft_label = torch.tensor([[[[0.3, 0.3]]]])
    assert (gradient(soft_label_cross_entropy(score_map, soft_label), score_map) > 0).all()
    assert (gradient(hybrid_loss(score_map, soft_label), score_map) < 0).all()


def test_cross_entropy_is_at_rest_where_q_equals_p() -> None:
    soft_label = torch.tensor([[[[0.3, 0.9]]]])
    score_map = soft_label.logit().requires_grad_()
    slope = gradient(soft_label_cross_entropy(score_map, soft_label), score_map)
    assert torch.allclose(slope, torch.zeros(()), atol=1e-7)


@pytest.mark.parametrize("loss", PER_CELL)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_label_that_is_all_empty_or_all_full_has_a_finite_loss(loss: Loss, value: float) -> None:
    score_map = torch.randn(1, 2, 3, 3, requires_grad=True)
    result = loss(score_map, torch.full((1, 2, 3, 3), value))
    assert result.isfinite()
    assert gradient(result, score_map).isfinite().all()


@pytest.mark.parametrize("loss", PER_CELL)
def test_certain_scores_make_a_finite_loss(loss: Loss) -> None:
    # log(sigmoid(-200)) is minus infinity when it is taken in two steps.
    score_map = torch.tensor([[[[-200.0, 200.0, -200.0, 200.0]]]], requires_grad=True)
    result = loss(score_map, torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]]]))
    assert 50 < result.item() < 500
    assert gradient(result, score_map).isfinite().all()


@pytest.mark.parametrize("loss", PER_CELL)
def test_a_half_precision_score_map_gives_a_float32_loss(loss: Loss) -> None:
    score_map, soft_label = example(3)
    half = loss(score_map.bfloat16(), soft_label)
    assert half.dtype == torch.float32
    assert float(half) == pytest.approx(float(loss(score_map, soft_label)), rel=0.02)


@pytest.mark.parametrize("loss", PER_CELL)
def test_the_loss_of_a_batch_is_the_mean_over_its_images(loss: Loss) -> None:
    score_map, soft_label = example(4, (3, 2, 4, 4))
    alone = [loss(score_map[b : b + 1], soft_label[b : b + 1]) for b in range(3)]
    assert torch.allclose(loss(score_map, soft_label), torch.stack(alone).mean())


@pytest.mark.parametrize("loss", PER_CELL)
def test_a_loss_leaves_its_arguments_alone(loss: Loss) -> None:
    score_map, soft_label = example(5)
    kept = score_map.clone(), soft_label.clone()
    loss(score_map, soft_label)
    assert torch.equal(score_map, kept[0])
    assert torch.equal(soft_label, kept[1])


@pytest.mark.parametrize("loss", PER_CELL)
def test_maps_of_different_shapes_are_refused(loss: Loss) -> None:
    with pytest.raises(ValueError, match=r"score_map is \(1, 2, 4, 4\) but soft_label is .*resize"):
        loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 8, 8))
