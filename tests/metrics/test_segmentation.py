import math

import numpy as np
import pytest
import torch
from hypothesis import given
from tests.metrics.random_maps import (
    CLASSES,
    QUICK,
    SEEDS,
    computed,
    oracle_scores,
    random_ids,
)
from torchmetrics.functional.classification import multiclass_jaccard_index

from oaa_pl.errors import BadMaskError
from oaa_pl.ids import IGNORED
from oaa_pl.metrics import SegmentationScore, iou_per_class


@QUICK
@given(SEEDS)
def test_segmentation_scores_follow_their_definitions(seed: int) -> None:
    metric = SegmentationScore(CLASSES)
    prediction, truth = random_ids(seed, (9, 7)), random_ids(seed + 1, (9, 7))
    metric.update(prediction, truth)
    assert computed(metric) == pytest.approx(oracle_scores(prediction, truth))


@QUICK
@given(SEEDS)
def test_the_iou_of_each_class_is_torchmetrics_jaccard_index(seed: int) -> None:
    metric = SegmentationScore(CLASSES)
    prediction = random_ids(seed, (9, 7))
    prediction, truth = prediction.where(prediction != IGNORED, 0), random_ids(seed + 1, (9, 7))
    metric.update(prediction, truth)
    theirs = multiclass_jaccard_index(prediction, truth, CLASSES, "none", ignore_index=IGNORED)
    # NaN here is 0 there: a class in neither.
    np.testing.assert_allclose(iou_per_class(metric.confusion).nan_to_num(0), theirs, atol=1e-6)


@QUICK
@given(SEEDS)
def test_the_counts_are_those_of_a_loop_over_the_pixels(seed: int) -> None:
    metric = SegmentationScore(CLASSES)
    prediction, truth = random_ids(seed, (9, 7)), random_ids(seed + 1, (9, 7))
    metric.update(prediction, truth)
    counts = torch.zeros(CLASSES, CLASSES, dtype=torch.int64)
    for seen, true in zip(prediction.flatten().tolist(), truth.flatten().tolist(), strict=True):
        if IGNORED not in (seen, true):
            counts[true, seen] += 1
    assert torch.equal(metric.confusion, counts)


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
    metric.update(torch.zeros(3).long(), torch.full((3,), IGNORED))
    assert all(math.isnan(value) for value in computed(metric).values())


@pytest.mark.parametrize("kind", [torch.int64, torch.uint8, torch.float32])
def test_maps_of_unequal_shape_are_refused_even_if_they_hold_as_many_pixels(
    kind: torch.dtype,
) -> None:
    metric = SegmentationScore(CLASSES)
    with pytest.raises(BadMaskError, match=r"one shape, got \(2, 3\) and \(3, 2\)"):
        metric.update(torch.zeros(2, 3, dtype=kind), torch.zeros(3, 2, dtype=torch.long))
    assert metric.confusion.sum() == 0


@pytest.mark.parametrize("foreign", [CLASSES, 200, 254, 256, -1])
@pytest.mark.parametrize("place", ["prediction", "truth"])
def test_an_id_that_is_no_class_s_is_refused_and_not_counted(foreign: int, place: str) -> None:
    metric = SegmentationScore(CLASSES)
    good, bad = torch.tensor([0, 1, 3, IGNORED]), torch.tensor([0, 1, foreign, IGNORED])
    maps = (bad, good) if place == "prediction" else (good, bad)
    with pytest.raises(BadMaskError, match=rf"{place} has the ids \[{foreign}\], expected 0..3"):
        metric.update(*maps)
    assert metric.confusion.sum() == 0


@pytest.mark.parametrize("value", [0.5, math.nan, math.inf])
def test_probabilities_in_the_place_of_ids_are_refused(value: float) -> None:
    metric = SegmentationScore(CLASSES)
    with pytest.raises(BadMaskError, match="prediction has the ids"):
        metric.update(torch.tensor([1.0, value]), torch.tensor([1, 1]))


def test_bytes_of_many_classes_do_not_wrap_round() -> None:
    metric = SegmentationScore(260)
    metric.update(torch.tensor([254, 3]).byte(), torch.tensor([254, 3]).byte())
    assert metric.confusion[254, 254] == 1
    with pytest.raises(BadMaskError, match=r"truth has the ids \[260\]"):
        metric.update(torch.tensor([3]), torch.tensor([260]))


@pytest.mark.cuda
def test_a_gpu_counts_foreign_ids_which_are_refused_at_the_end(gpu: torch.device) -> None:
    metric = SegmentationScore(CLASSES).to(gpu)
    metric.update(torch.tensor([0, 1, 77]).to(gpu), torch.tensor([0, 1, 2]).to(gpu))
    with pytest.raises(BadMaskError, match="1 pixels have ids other than"):
        metric.compute()


def test_foreign_ids_that_were_only_counted_leave_no_score() -> None:
    metric = SegmentationScore(CLASSES)
    metric.update(torch.tensor([0, 1]), torch.tensor([0, 1]))
    metric.foreign += 3  # as a GPU counts them, or another process
    with pytest.raises(BadMaskError, match="3 pixels have ids other than"):
        metric.compute()
