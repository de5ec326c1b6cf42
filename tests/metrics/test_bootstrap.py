import math

import numpy as np
import pytest
import torch

from oaa_pl.errors import ShapeError
from oaa_pl.metrics import SegmentationScore
from oaa_pl.metrics.bootstrap import difference, resampled


def counts(seeds: int, photos: int, right: float, classes: int = 4, start: int = 0) -> dict:
    """Photos of 100 pixels, of which a share is predicted rightly."""
    found = {}
    for seed in range(seeds):
        generator = np.random.default_rng([start, seed])
        truth = generator.integers(classes, size=(photos, 100))
        other = generator.integers(classes, size=truth.shape)
        predicted = np.where(generator.random(truth.shape) < right, truth, other)
        confusion = np.zeros((photos, classes, classes), np.int64)
        np.add.at(confusion, (np.arange(photos)[:, None], truth, predicted), 1)
        found[seed] = confusion
    return found


def plain_miou(confusion: np.ndarray) -> float:
    found = []
    for c in range(len(confusion)):
        union = sum(confusion[c]) + sum(confusion[:, c]) - confusion[c, c]
        if union:
            found.append(confusion[c, c] / union)
    return 100 * sum(found) / len(found)


def compared(ours: dict, theirs: dict, replicates: int = 400):  # type: ignore[no-untyped-def]  # of a test
    return difference(ours, theirs, (resampled(ours, replicates), resampled(theirs, replicates)))


def test_the_mean_is_that_of_whole_data_sets() -> None:
    ours, theirs = counts(3, 20, 0.8), counts(3, 20, 0.5, start=1)
    found = compared(ours, theirs)
    by_seed = {s: plain_miou(ours[s].sum(0)) - plain_miou(theirs[s].sum(0)) for s in ours}
    assert found.by_seed == pytest.approx(by_seed)
    assert found.mean == pytest.approx(np.mean([*by_seed.values()]))
    assert 0 < found.low < found.mean < found.high


def test_every_replicate_is_the_score_of_a_list_of_photos_with_repeats() -> None:
    found = counts(2, 6, 0.7)
    drawn = resampled(found, 5)
    # The same draws in plain loops.
    generator = np.random.default_rng(0)
    seeds = generator.integers(2, size=(5, 2))
    expected = np.zeros(5)
    for place in range(2):
        times = generator.multinomial(6, np.full(6, 1 / 6), size=5)
        for replicate in range(5):
            total = np.zeros((4, 4))
            for photo in range(6):
                for _ in range(times[replicate, photo]):
                    total += found[seeds[replicate, place]][photo]
            expected[replicate] += plain_miou(total) / 2
    assert drawn == pytest.approx(expected)


def test_a_method_differs_from_itself_by_nothing() -> None:
    found = counts(2, 10, 0.6)
    assert compared(found, found)[:3] == (0, 0, 0)


def test_pairing_makes_the_interval_narrower() -> None:
    ours = counts(1, 30, 0.6)
    theirs = {0: ours[0].copy()}
    # Both have the same hard photos; theirs misses a little more in each.
    theirs[0][:, 1, 1] -= 1
    theirs[0][:, 1, 0] += 1
    paired = compared(ours, theirs)
    spread = np.percentile(resampled(ours, 400), [2.5, 97.5])
    assert paired.high - paired.low < (spread[1] - spread[0]) / 3


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says() -> None:
    # Two methods of equal quality: their true difference is 0.
    covered = [
        one.low <= 0 <= one.high
        for one in (
            compared(counts(1, 40, 0.6, start=2 * n), counts(1, 40, 0.6, start=2 * n + 1), 200)
            for n in range(60)
        )
    ]
    assert 0.85 <= np.mean(covered) <= 1


def test_a_spread_over_seeds_widens_the_interval() -> None:
    equal = {seed: counts(1, 30, 0.6)[0] for seed in range(4)}
    other = {seed: counts(1, 30, 0.3 + 0.15 * seed)[0] for seed in range(4)}
    widths = [np.ptp(np.percentile(resampled(one, 400), [2.5, 97.5])) for one in (equal, other)]
    assert widths[1] > 2 * widths[0]


def test_a_class_without_pixels_is_left_out_as_in_the_scores() -> None:
    truth, predicted = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1, 1, 0])
    score = SegmentationScore(3)
    score.update(predicted, truth)
    found = {7: score.confusion[None].numpy()}
    assert math.isclose(float(resampled(found, 3)[0]), 100 * float(score.compute()["miou"]))


def test_counts_that_do_not_belong_together_are_refused() -> None:
    ours = counts(2, 6, 0.5)
    with pytest.raises(ShapeError, match="same seeds and photos"):
        compared(ours, counts(1, 6, 0.5))
    with pytest.raises(ShapeError, match="each with the same photos"):
        resampled({0: ours[0], 1: ours[1][:3]})
    with pytest.raises(ShapeError, match="one seed or more"):
        resampled({})
