import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oaa_pl.ids import IGNORED
from oaa_pl.metrics import Curve, HeldOutThreshold, SegmentationScore, ThresholdCurve, iou_per_class

CLASSES = 4  # with the background
QUICK = settings(max_examples=20, deadline=None, derandomize=True)
SEEDS = st.integers(0, 10_000)


def random_ids(seed: int, shape: tuple[int, ...], ignored: float = 0.2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, CLASSES, shape, generator=generator)
    return ids.where(torch.rand(shape, generator=generator) >= ignored, IGNORED)


def oracle_scores(prediction: Tensor, truth: Tensor) -> dict[str, float]:
    """Each score by its definition, pixel by pixel."""
    pixels = [
        (int(p), int(t))
        for p, t in zip(prediction.flatten(), truth.flatten(), strict=True)
        if t != IGNORED
    ]
    labelled = [(p, t) for p, t in pixels if p != IGNORED]
    ious, precisions, recalls = [], [], []
    for c in range(CLASSES):
        hits = sum(p == c and t == c for p, t in labelled)
        predicted = sum(p == c for p, _ in labelled)
        true = sum(t == c for _, t in labelled)
        if predicted + true - hits:
            ious.append(hits / (predicted + true - hits))
        if c and predicted:
            precisions.append(hits / predicted)
        if c and true:
            recalls.append(hits / true)
    return {
        "miou": sum(ious) / len(ious),
        "precision": sum(precisions) / len(precisions),
        "recall": sum(recalls) / len(recalls),
        "coverage": len(labelled) / len(pixels),
    }


def computed(metric: SegmentationScore) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


@QUICK
@given(SEEDS)
def test_segmentation_scores_follow_their_definitions(seed: int) -> None:
    metric = SegmentationScore(CLASSES)
    prediction, truth = random_ids(seed, (9, 7)), random_ids(seed + 1, (9, 7))
    metric.update(prediction, truth)
    assert computed(metric) == pytest.approx(oracle_scores(prediction, truth))


def test_the_mean_iou_is_that_of_the_data_set_and_not_of_its_images() -> None:
    metric = SegmentationScore(2)
    metric.update(torch.tensor([1]), torch.tensor([1]))  # IoU 1 by itself
    metric.update(torch.tensor([0, 0, 0]), torch.tensor([1, 1, 1]))  # IoU 0 by itself
    # 1 hit in a union of 4, and no hit of the background in 3.
    assert computed(metric)["miou"] == pytest.approx(0.125)


@QUICK
@given(SEEDS)
def test_the_order_and_the_split_into_batches_do_not_matter(seed: int) -> None:
    prediction, truth = random_ids(seed, (6, 5)), random_ids(seed + 1, (6, 5))
    whole, parts = SegmentationScore(CLASSES), SegmentationScore(CLASSES)
    whole.update(prediction, truth)
    for row in torch.randperm(6, generator=torch.Generator().manual_seed(seed)).tolist():
        parts.update(prediction[row], truth[row])
    assert torch.equal(whole.confusion, parts.confusion)
    assert computed(whole) == computed(parts)


def test_a_perfect_prediction_scores_one() -> None:
    metric = SegmentationScore(CLASSES)
    truth = random_ids(0, (8, 8))
    metric.update(truth.where(truth != IGNORED, 0), truth)
    perfect = {"miou": 1.0, "precision": 1.0, "recall": 1.0, "coverage": 1.0}
    assert computed(metric) == pytest.approx(perfect)


def test_what_the_truth_ignores_never_counts() -> None:
    metric = SegmentationScore(CLASSES)
    metric.update(torch.tensor([1, 2, 3]), torch.tensor([1, IGNORED, IGNORED]))
    assert computed(metric) == pytest.approx(
        {"miou": 1.0, "precision": 1.0, "recall": 1.0, "coverage": 1.0}
    )


def test_an_abstaining_prediction_lowers_the_coverage_alone() -> None:
    metric = SegmentationScore(CLASSES)
    metric.update(torch.tensor([1, IGNORED, IGNORED, 2]), torch.tensor([1, 1, 2, 2]))
    assert computed(metric) == pytest.approx(
        {"miou": 1.0, "precision": 1.0, "recall": 1.0, "coverage": 0.5}
    )


def test_a_class_in_neither_truth_nor_prediction_has_no_iou() -> None:
    confusion = torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    iou = iou_per_class(confusion)
    assert iou[:2].tolist() == pytest.approx([3 / 4, 4 / 5])
    assert iou[2].isnan()


def test_label_maps_may_be_bytes() -> None:
    metric = SegmentationScore(CLASSES)
    metric.update(torch.full((300, 300), 3, dtype=torch.uint8), torch.full((300, 300), 3).byte())
    assert metric.confusion[3, 3] == 90_000  # 16 bits would have overflowed


def test_where_all_is_ignored_there_is_no_score() -> None:
    metric = SegmentationScore(CLASSES)
    metric.update(torch.zeros(3), torch.full((3,), IGNORED))
    assert all(math.isnan(value) for value in computed(metric).values())


def random_attention(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Maps of two of the three classes in steps of 1/20, and a truth."""
    generator = torch.Generator().manual_seed(seed)
    attention = torch.randint(0, 21, (2, 6, 8), generator=generator) / 20
    return attention, torch.tensor([0, 2]), random_ids(seed + 1, (6, 8))


def cut(attention: Tensor, categories: Tensor, threshold: float) -> Tensor:
    """The label map of one threshold, pixel by pixel."""
    labels = torch.zeros(attention.shape[1:], dtype=torch.long)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            column = attention[:, y, x].tolist()
            best = max(range(len(column)), key=lambda k: column[k])
            if column[best] >= threshold - 1e-6:
                labels[y, x] = categories[best] + 1
    return labels


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
            alone.update(cut(attention, categories, threshold), truth)
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


def test_a_curve_finds_the_nearest_threshold() -> None:
    curve = Curve(np.arange(10) / 10, *[np.zeros(10)] * 3)
    assert [curve.at(value) for value in (0.0, 0.3, 0.34, 0.36, 5.0)] == [0, 3, 3, 4, 9]


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
            alone.update(cut(attention, categories, float(threshold)), truth)
    assert metric.miou() == pytest.approx(computed(alone)["miou"])
    whole = ThresholdCurve(CLASSES, bins=20)
    for one in seen:
        whole.update(*one)
    assert np.array_equal(metric.curve().miou, whole.compute().miou)


def test_one_image_has_no_other_half() -> None:
    metric = HeldOutThreshold(CLASSES)
    metric.update(*random_attention(0))
    assert np.isnan(metric.miou())
