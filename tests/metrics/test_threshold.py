import numpy as np
import pytest
import torch
from hypothesis import given, settings
from tests.metrics.random_maps import (
    CLASSES,
    SEEDS,
    computed,
    cut_by_hand,
    random_attention,
)

from oaa_pl.errors import BadMaskError, ConfigError
from oaa_pl.ids import IGNORED
from oaa_pl.metrics import (
    Curve,
    HeldOutThreshold,
    SegmentationScore,
    ThresholdCurve,
    cut,
    require_threshold,
)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(SEEDS)
def test_the_curve_is_a_pass_per_threshold_done_at_once(seed: int) -> None:
    curve_metric = ThresholdCurve(CLASSES, bins=20)
    seen = [random_attention(seed), random_attention(seed + 100)]
    for one in seen:
        curve_metric.update(*one)
    curve = curve_metric.compute()
    for place, threshold in enumerate(curve.thresholds.tolist()):
        alone = SegmentationScore(CLASSES)
        for attention, categories, truth in seen:
            alone.update(cut_by_hand(attention, categories, threshold), truth)
        expected = computed(alone)
        for name in ("miou", "precision", "recall"):
            value = float(getattr(curve, name)[place])
            assert value == pytest.approx(expected[name], nan_ok=True), (name, threshold)


def test_thresholds_start_at_zero_where_nothing_is_background() -> None:
    metric = ThresholdCurve(3, bins=10)
    metric.update(torch.zeros(1, 2, 2), torch.tensor([1]), torch.full((2, 2), 2))
    curve = metric.compute()
    assert curve.thresholds.tolist() == pytest.approx([k / 10 for k in range(10)])
    assert curve.recall.tolist() == [1.0] + [0.0] * 9


def test_a_value_equal_to_a_threshold_reaches_it() -> None:
    metric = ThresholdCurve(2, bins=100)
    for k in range(100):
        value = torch.full((1, 1, 1), k / 100)  # as float32 makes of it
        metric.update(value, torch.tensor([0]), torch.ones(1, 1, dtype=torch.long))
    assert metric.histogram[1, 1].tolist() == [1] * 100


def test_recall_never_rises_with_the_threshold() -> None:
    metric = ThresholdCurve(CLASSES)
    metric.update(*random_attention(3))
    recall = metric.compute().recall
    assert (np.diff(recall[~np.isnan(recall)]) <= 1e-12).all()


def test_ignored_pixels_are_not_in_the_curve() -> None:
    metric = ThresholdCurve(2, bins=10)
    truth = torch.tensor([[1, IGNORED]])
    metric.update(torch.ones(1, 1, 2), torch.tensor([0]), truth)
    assert metric.histogram.sum() == 1


def test_a_curve_knows_its_own_thresholds_and_refuses_others() -> None:
    curve = Curve(np.arange(10) / 10, *[np.zeros(10)] * 3)
    assert [curve.at(value) for value in (0.0, 0.3, 0.9)] == [0, 3, 9]
    for other in (0.34, 1.0, 5.0, -0.1, float("nan")):
        with pytest.raises(ConfigError, match=r"one of the curve.s 10 from 0 to 0\.9"):
            curve.at(other)


@pytest.mark.parametrize("seed", range(3))
def test_a_held_out_threshold_is_chosen_on_the_other_half(seed: int) -> None:
    metric = HeldOutThreshold(CLASSES, bins=20)
    seen = [random_attention(seed + 10 * k) for k in range(5)]
    for one in seen:
        metric.update(*one)
    halves = seen[0::2], seen[1::2]
    best = []
    for half in halves:
        curve = ThresholdCurve(CLASSES, bins=20)
        for one in half:
            curve.update(*one)
        scores = curve.compute()
        best.append(scores.thresholds[int(np.nanargmax(scores.miou))])
    alone = SegmentationScore(CLASSES)
    for half, threshold in zip(halves, reversed(best), strict=True):
        for attention, categories, truth in half:
            alone.update(cut_by_hand(attention, categories, float(threshold)), truth)
    assert metric.miou() == pytest.approx(computed(alone)["miou"])
    whole = ThresholdCurve(CLASSES, bins=20)
    for one in seen:
        whole.update(*one)
    assert np.array_equal(metric.curve().miou, whole.compute().miou)


def test_one_image_has_no_other_half() -> None:
    metric = HeldOutThreshold(CLASSES)
    metric.update(*random_attention(0))
    assert np.isnan(metric.miou())


@pytest.mark.parametrize("threshold", [0.0, 0.123, 0.3, 0.07, 0.999, 1.0])
def test_maps_are_cut_exactly_at_any_threshold(threshold: float) -> None:
    values = [threshold - 1e-4, threshold, threshold + 1e-4]
    maps = torch.tensor([[[value for value in values if 0 <= value <= 1]]])
    labels = cut(maps, torch.tensor([2]), threshold)
    assert labels.tolist() == [
        [3 if value >= threshold else 0 for value in values if 0 <= value <= 1]
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_cut_agrees_with_the_curve_where_the_curve_has_that_threshold(seed: int) -> None:
    curve = ThresholdCurve(CLASSES, bins=100)
    attention, categories, truth = random_attention(seed)
    curve.update(attention, categories, truth)
    scores = curve.compute()
    for place in range(0, 100, 5):
        alone = SegmentationScore(CLASSES)
        alone.update(cut(attention, categories, place / 100), truth)
        assert computed(alone)["miou"] == pytest.approx(float(scores.miou[place]), nan_ok=True)


@pytest.mark.parametrize(
    "threshold", [-0.1, 1.01, 30, float("nan"), float("inf"), "0.3", None, True]
)
def test_a_threshold_that_no_attention_can_have_is_refused(threshold: object) -> None:
    with pytest.raises(ConfigError, match=r"evaluate.threshold must be a number from 0 to 1"):
        require_threshold(threshold)


def test_where_no_pixel_counts_there_is_no_best_threshold() -> None:
    metric = HeldOutThreshold(CLASSES)
    attention, categories, truth = random_attention(0)
    for _ in range(3):
        metric.update(attention, categories, torch.full_like(truth, IGNORED))
    assert metric.curve().best is None
    assert np.isnan(metric.miou())


def test_a_half_without_one_pixel_that_counts_chooses_nothing() -> None:
    metric = HeldOutThreshold(CLASSES)
    attention, categories, truth = random_attention(0)
    metric.update(attention, categories, truth)
    metric.update(attention, categories, torch.full_like(truth, IGNORED))
    assert metric.curve().best is not None
    assert np.isnan(metric.miou())


def test_an_image_without_maps_is_background_at_every_threshold() -> None:
    metric = ThresholdCurve(3, bins=10)
    nothing = torch.zeros(0, 2, 2), torch.zeros(0, dtype=torch.long)
    metric.update(*nothing, torch.tensor([[0, 0], [0, 2]]))
    assert metric.compute().miou.tolist() == [pytest.approx((3 / 4 + 0) / 2)] * 10
    assert cut(*nothing, 0.0).tolist() == [[0, 0], [0, 0]]


def test_maps_that_do_not_fit_the_truth_are_refused() -> None:
    metric = ThresholdCurve(3)
    truth = torch.zeros(2, 2, dtype=torch.long)
    with pytest.raises(BadMaskError, match="attention and truth must have one shape"):
        metric.update(torch.zeros(1, 4, 1), torch.tensor([0]), truth)
    with pytest.raises(BadMaskError, match=r"truth has the ids \[7\]"):
        metric.update(torch.zeros(1, 2, 2), torch.tensor([0]), truth + 7)
    for categories in ([2], [-1], [0, 1]):
        with pytest.raises(ConfigError, match=r"one class of 0..1 per map"):
            metric.update(torch.zeros(1, 2, 2), torch.tensor(categories), truth)
    for value in (1.5, -1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"attention must be in \[0, 1\]"):
            metric.update(torch.full((1, 2, 2), value), torch.tensor([0]), truth)
