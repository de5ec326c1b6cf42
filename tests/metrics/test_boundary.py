import math

import numpy as np
import pytest
import torch
from hypothesis import given
from tests.metrics.random_maps import CLASSES, QUICK, SEEDS, random_ids

from oaa_pl.errors import BadMaskError, ConfigError
from oaa_pl.ids import IGNORED
from oaa_pl.metrics import BoundaryScore, boundary_iou, boundary_of


def near_the_outside(mask: np.ndarray, width: int) -> np.ndarray:
    """Pixels of a mask with a pixel outside of it, or of the image, in reach: by plain loops."""
    height, across = mask.shape
    found = np.zeros_like(mask)
    for y in range(height):
        for x in range(across):
            reach = [
                (y + j, x + i)
                for j in range(-width, width + 1)
                for i in range(-width, width + 1)
            ]  # fmt: skip
            found[y, x] = mask[y, x] and any(
                not (0 <= j < height and 0 <= i < across) or not mask[j, i] for j, i in reach
            )
    return found


@QUICK
@given(SEEDS)
def test_a_boundary_is_what_has_the_outside_in_reach(seed: int) -> None:
    generator = np.random.default_rng(seed)
    mask = generator.random((12, 9)) < 0.9
    for width in (1, 2):
        ratio = width / math.hypot(12, 9)
        assert (boundary_of(mask, ratio) == near_the_outside(mask, width)).all()


@QUICK
@given(SEEDS)
def test_the_score_is_the_one_of_plain_loops(seed: int) -> None:
    images = [
        (random_ids(seed + k, (8, 6)), random_ids(seed + k + 50, (8, 6), ignored=0.1))
        for k in range(2)
    ]
    metric = BoundaryScore(CLASSES, ratio=0.1)
    inside, union = np.zeros(CLASSES), np.zeros(CLASSES)
    for prediction, truth in images:
        metric.update(prediction, truth)
        valid = ((prediction != IGNORED) & (truth != IGNORED)).numpy()
        for label in range(CLASSES):
            one = near_the_outside((prediction == label).numpy() & valid, 1)
            other = near_the_outside((truth == label).numpy() & valid, 1)
            inside[label] += (one & other).sum()
            union[label] += (one | other).sum()
    expected = [i / u if u else math.nan for i, u in zip(inside, union, strict=True)]
    found = metric.compute()
    assert found["per_class"].tolist() == pytest.approx(expected, nan_ok=True)
    assert float(found["boundary_iou"]) == pytest.approx(np.nanmean(expected))


@QUICK
@given(SEEDS)
def test_a_prediction_at_ignored_pixels_changes_nothing(seed: int) -> None:
    truth = random_ids(seed, (10, 10), ignored=0.3)
    prediction = random_ids(seed + 1, (10, 10), ignored=0)
    other = prediction.where(truth != IGNORED, (prediction + 1) % CLASSES)
    scores = []
    for one in (prediction, other):
        metric = BoundaryScore(CLASSES)
        metric.update(one, truth)
        scores.append(metric.compute()["per_class"].tolist())
    assert scores[0] == pytest.approx(scores[1], nan_ok=True)


def test_a_large_object_that_is_a_little_too_large_scores_lower_than_by_its_area() -> None:
    truth = np.zeros((100, 100), bool)
    truth[10:90, 10:90] = True
    wider = np.zeros((100, 100), bool)
    wider[8:92, 8:92] = True
    area = (truth & wider).sum() / (truth | wider).sum()
    assert area > 0.9
    assert boundary_iou(wider, truth) < 0.3
    assert boundary_iou(truth, truth) == 1


def test_two_empty_masks_have_no_boundary() -> None:
    assert math.isnan(boundary_iou(np.zeros((4, 4), bool), np.zeros((4, 4), bool)))


def test_a_batch_counts_as_its_images() -> None:
    prediction, truth = random_ids(1, (2, 6, 6)), random_ids(2, (2, 6, 6))
    whole, parts = BoundaryScore(CLASSES), BoundaryScore(CLASSES)
    whole.update(prediction, truth)
    for one, other in zip(prediction, truth, strict=True):
        parts.update(one, other)
    assert torch.equal(whole.union, parts.union)


def test_bad_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="ratio of a boundary must be above 0"):
        BoundaryScore(3, ratio=0)
    with pytest.raises(BadMaskError, match="must have one shape"):
        BoundaryScore(3).update(torch.zeros(2, 2).long(), torch.zeros(2, 3).long())
    with pytest.raises(BadMaskError, match=r"prediction has the ids \[7\]"):
        BoundaryScore(3).update(torch.full((2, 2), 7), torch.zeros(2, 2).long())
