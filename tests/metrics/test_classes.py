import math

import pytest
import torch
from hypothesis import given
from tests.metrics.random_maps import CLASSES, QUICK, SEEDS, random_ids

from oaa_pl.errors import BadMaskError
from oaa_pl.ids import IGNORED
from oaa_pl.metrics import ActivationScore, ClassScore, activation, class_scores


def by_hand(prediction: torch.Tensor, truth: torch.Tensor, label: int) -> dict[str, float]:
    """Each score of one class by its definition, pixel by pixel."""
    pixels = [
        (p, t)
        for p, t in zip(prediction.flatten().tolist(), truth.flatten().tolist(), strict=True)
        if IGNORED not in (p, t)
    ]
    hits = sum(p == t == label for p, t in pixels)
    wrong = sum(p == label != t for p, t in pixels)
    missed = sum(t == label != p for p, t in pixels)
    occurs = hits + wrong + missed > 0

    def share(part: int, whole: int) -> float:
        return part / whole if whole else math.nan

    def per_hit(count: int) -> float:
        return (count / hits if hits else math.inf) if occurs else math.nan

    return {
        "iou": share(hits, hits + wrong + missed),
        "precision": share(hits, hits + wrong),
        "recall": share(hits, hits + missed),
        "fp_per_tp": per_hit(wrong),
        "fn_per_tp": per_hit(missed),
    }


@QUICK
@given(SEEDS)
def test_the_scores_of_each_class_follow_their_definitions(seed: int) -> None:
    prediction, truth = random_ids(seed, (3, 4)), random_ids(seed + 1, (3, 4))
    metric = ClassScore(CLASSES)
    metric.update(prediction, truth)
    found = metric.compute()
    for label in range(CLASSES):
        for name, value in by_hand(prediction, truth, label).items():
            assert float(found[name][label]) == pytest.approx(value, nan_ok=True), (label, name)


@QUICK
@given(SEEDS)
def test_over_and_under_activation_are_means_over_the_objects_classes(seed: int) -> None:
    prediction, truth = random_ids(seed, (4, 5)), random_ids(seed + 1, (4, 5))
    metric = ActivationScore(CLASSES)
    metric.update(prediction[:2], truth[:2])
    metric.update(prediction[2:], truth[2:])
    found = metric.compute()
    for name, key in (("m_fp", "fp_per_tp"), ("m_fn", "fn_per_tp")):
        each = [by_hand(prediction, truth, label)[key] for label in range(1, CLASSES)]
        each = [value for value in each if not math.isnan(value)]
        expected = sum(each) / len(each) if each else math.nan
        assert float(found[name]) == pytest.approx(expected, nan_ok=True)


def test_a_map_that_covers_twice_the_object_is_over_activated() -> None:
    truth = torch.tensor([[1, 1, 0, 0]])
    m_fp, m_fn = activation(_confusion(torch.ones(1, 4).long(), truth))
    assert (float(m_fp), float(m_fn)) == (1.0, 0.0)
    m_fp, m_fn = activation(_confusion(torch.tensor([[1, 0, 0, 0]]), truth))
    assert (float(m_fp), float(m_fn)) == (0.0, 1.0)


def test_a_class_that_is_never_hit_is_not_left_out() -> None:
    truth, prediction = torch.tensor([[1, 2]]), torch.tensor([[1, 1]])
    assert [float(one) for one in activation(_confusion(prediction, truth))] == [math.inf] * 2


def test_the_confusion_matrix_has_the_truth_in_its_rows() -> None:
    metric = ClassScore(3)
    metric.update(torch.tensor([2, 2, 1]), torch.tensor([1, 1, IGNORED]))
    assert metric.compute()["confusion"].tolist() == [[0, 0, 0], [0, 0, 2], [0, 0, 0]]


def test_an_unknown_id_is_refused() -> None:
    with pytest.raises(BadMaskError, match=r"truth has the ids \[9\]"):
        ClassScore(3).update(torch.tensor([1]), torch.tensor([9]))


def test_no_class_has_scores_without_a_pixel() -> None:
    assert all(one.isnan().all() for one in class_scores(torch.zeros(3, 3, dtype=torch.int64)))


def _confusion(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    metric = ClassScore(3)
    metric.update(prediction, truth)
    return metric.confusion
