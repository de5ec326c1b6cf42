import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oaa_pl.attention.cam import class_attention, min_max_attention, probability_attention
from oaa_pl.store.accumulate import ToAttention

QUICK = settings(max_examples=25, deadline=None, derandomize=True)
SEEDS = st.integers(0, 10_000)
BOTH = [class_attention, min_max_attention]


def scores(seed: int) -> Tensor:
    return 5 * torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(seed)) - 2


def oracle_attention(score_map: Tensor) -> list[float]:
    """Eq. (2), cell by cell."""
    cells = [float(cell) for cell in score_map.flatten()]
    peak = max(cells)
    return [max(cell, 0.0) / peak if peak > 0 else 0.0 for cell in cells]


def oracle_min_max(score_map: Tensor) -> list[float]:
    cells = [float(cell) for cell in score_map.flatten()]
    low, high = min(cells), max(cells)
    return [(cell - low) / (high - low) for cell in cells]


@QUICK
@given(SEEDS)
def test_attention_is_equation_2_in_plain_loops(seed: int) -> None:
    score_map = scores(seed)
    attention = class_attention(score_map)
    for b in range(2):
        for c in range(3):
            expected = oracle_attention(score_map[b, c])
            assert attention[b, c].flatten().tolist() == pytest.approx(expected, rel=1e-5)


@QUICK
@given(SEEDS)
def test_min_max_attention_spans_zero_to_one(seed: int) -> None:
    score_map = scores(seed)
    attention = min_max_attention(score_map)
    for b in range(2):
        for c in range(3):
            expected = oracle_min_max(score_map[b, c])
            assert attention[b, c].flatten().tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("to_attention", BOTH)
def test_attention_lies_in_zero_to_one_and_reaches_one(to_attention: ToAttention) -> None:
    attention = to_attention(scores(1))
    assert attention.min() >= 0
    assert attention.max() == 1


@pytest.mark.parametrize("to_attention", BOTH)
def test_normalising_twice_changes_nothing(to_attention: ToAttention) -> None:
    once = to_attention(scores(2))
    assert torch.allclose(to_attention(once), once)


@pytest.mark.parametrize("to_attention", BOTH)
def test_attention_does_not_know_the_scale_of_the_scores(to_attention: ToAttention) -> None:
    assert torch.allclose(to_attention(scores(3)), to_attention(scores(3) * 100), atol=1e-6)


@pytest.mark.parametrize("to_attention", BOTH)
def test_a_class_does_not_see_the_others(to_attention: ToAttention) -> None:
    score_map = scores(4)
    louder = score_map.clone()
    louder[:, 1] *= 1000
    assert torch.equal(to_attention(score_map)[:, [0, 2]], to_attention(louder)[:, [0, 2]])


def test_a_map_with_no_positive_score_is_all_zero() -> None:
    assert not class_attention(-scores(5).abs()).any()
    assert not class_attention(torch.zeros(1, 1, 3, 3)).any()


def test_a_constant_map_has_no_min_max_attention() -> None:
    assert not min_max_attention(torch.full((1, 2, 3, 3), -7.0)).any()


@pytest.mark.parametrize("to_attention", BOTH)
def test_half_precision_scores_give_float32_attention(to_attention: ToAttention) -> None:
    assert to_attention(scores(6).bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("to_attention", BOTH)
def test_the_scores_are_left_alone(to_attention: ToAttention) -> None:
    score_map = scores(7)
    to_attention(score_map)
    assert torch.equal(score_map, scores(7))


def test_the_releases_attention_has_255_levels_above_zero() -> None:
    score_map = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    attention = class_attention(score_map, epsilon=1e-8, levels=255)
    grey = attention * 255
    assert torch.equal(grey.round(), grey)
    assert (attention - class_attention(score_map)).abs().max() <= 0.5 / 255 + 1e-6
    assert attention.amax(dim=(2, 3)).eq(1).all()


@QUICK
@given(SEEDS)
def test_probability_attention_is_the_sigmoid_in_plain_loops(seed: int) -> None:
    score_map = scores(seed)
    expected = [1 / (1 + math.exp(-float(cell))) for cell in score_map.flatten()]
    assert probability_attention(score_map).flatten().tolist() == pytest.approx(expected, rel=1e-5)
    assert probability_attention(score_map.bfloat16()).dtype == torch.float32
