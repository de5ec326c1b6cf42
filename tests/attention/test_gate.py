import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oaa_pl.attention.gate import accept_all, beats_absent_classes, top_k
from oaa_pl.store.accumulate import Gate

GATES = [beats_absent_classes, top_k, accept_all]
QUICK = settings(max_examples=40, deadline=None, derandomize=True)
SEEDS = st.integers(0, 10_000)


def drawn(seed: int, images: int = 4, classes: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(images, classes, generator=generator) < 0.5
    return torch.randn(images, classes, generator=generator), labels


def oracle_beats(scores: list[float], labels: list[bool]) -> list[bool]:
    absent = [score for score, present in zip(scores, labels, strict=True) if not present]
    return [
        present and all(score > other for other in absent)
        for score, present in zip(scores, labels, strict=True)
    ]


def oracle_top_k(scores: list[float], labels: list[bool]) -> list[bool]:
    best = sorted(range(len(scores)), key=lambda c: -scores[c])[: sum(labels)]
    return [present and c in best for c, present in enumerate(labels)]


@QUICK
@given(SEEDS)
def test_the_papers_gate_asks_for_a_score_above_every_absent_class(seed: int) -> None:
    scores, labels = drawn(seed)
    for row, present, got in zip(scores, labels, beats_absent_classes(scores, labels), strict=True):
        assert got.tolist() == oracle_beats(row.tolist(), present.tolist())


@QUICK
@given(SEEDS)
def test_the_releases_gate_asks_for_a_place_among_the_best(seed: int) -> None:
    scores, labels = drawn(seed)
    for row, present, got in zip(scores, labels, top_k(scores, labels), strict=True):
        assert got.tolist() == oracle_top_k(row.tolist(), present.tolist())


@QUICK
@given(SEEDS)
def test_each_gate_lets_through_what_the_stricter_one_does(seed: int) -> None:
    scores, labels = drawn(seed)
    strict, loose = beats_absent_classes(scores, labels), top_k(scores, labels)
    assert not (strict & ~loose).any()
    assert not (loose & ~accept_all(scores, labels)).any()


def test_the_releases_gate_is_looser_with_two_tags() -> None:
    # The absent class 2 beats class 0, which is among the two best no more; class 3 is absent.
    scores = torch.tensor([[0.8, 1.0, 0.9, 0.5]])
    two = torch.tensor([[True, True, False, False]])
    assert top_k(scores, two).tolist() == [[False, True, False, False]]
    # With a third tag class 0 is among the three best, but an absent class still beats it.
    three = torch.tensor([[True, True, False, True]])
    assert top_k(scores, three).tolist() == [[True, True, False, False]]
    assert beats_absent_classes(scores, three).tolist() == [[False, True, False, False]]


@pytest.mark.parametrize("gate", GATES)
@QUICK
@given(seed=SEEDS)
def test_an_absent_class_is_never_trusted(gate: Gate, seed: int) -> None:
    scores, labels = drawn(seed)
    assert not (gate(scores, labels) & ~labels).any()


@pytest.mark.parametrize("gate", GATES)
def test_a_score_that_is_not_a_number_is_never_trusted(gate: Gate) -> None:
    scores = torch.tensor([[math.nan, 1.0, 0.5]])
    assert gate(scores, torch.tensor([[True, True, True]])).tolist() == [[False, True, True]]
    assert gate(scores, torch.tensor([[True, False, False]])).tolist() == [[False] * 3]


def test_a_tie_with_an_absent_class_is_not_above_it() -> None:
    scores = torch.tensor([[2.0, 2.0]])
    assert not beats_absent_classes(scores, torch.tensor([[True, False]])).any()


def test_scores_that_tie_as_probabilities_are_still_told_apart() -> None:
    scores = torch.tensor([[40.0, 30.0]])
    assert (scores.sigmoid() == 1).all()
    assert beats_absent_classes(scores, torch.tensor([[True, False]])).tolist() == [[True, False]]


@pytest.mark.parametrize("gate", GATES)
def test_every_class_is_trusted_in_an_image_that_has_them_all(gate: Gate) -> None:
    assert gate(torch.tensor([[-3.0, 0.0, 9.0]]), torch.ones(1, 3, dtype=torch.bool)).all()


@pytest.mark.parametrize("gate", GATES)
def test_images_are_judged_apart(gate: Gate) -> None:
    scores, labels = drawn(9)
    alone = [gate(scores[b : b + 1], labels[b : b + 1]) for b in range(len(scores))]
    assert torch.equal(gate(scores, labels), torch.cat(alone))
