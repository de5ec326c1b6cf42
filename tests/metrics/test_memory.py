"""Every score keeps counts: its memory does not grow with the number of photos; it merges."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.commands.tiny import surroundings
from tests.metrics.random_maps import CLASSES, random_attention, random_ids
from torchmetrics import Metric

from oaa_pl.metrics import (
    ActivationScore,
    BoundaryScore,
    BoxAccuracy,
    ClassScore,
    PixelAveragePrecision,
    SegmentationScore,
    ThresholdCurve,
)

Update = Callable[[Metric, int], None]


def labels(metric: Metric, seed: int) -> None:
    metric.update(random_ids(seed, (6, 6)), random_ids(seed + 1, (6, 6)))


def maps(metric: Metric, seed: int) -> None:
    metric.update(*random_attention(seed))


def boxes(metric: Metric, seed: int) -> None:
    attention, _, _ = random_attention(seed)
    metric.update(attention, [np.array([[0, 0, 2 + seed % 4, 3]])] * 2, [True, False])


METRICS: dict[str, tuple[Callable[[], Metric], Update]] = {
    "segmentation": (lambda: SegmentationScore(CLASSES), labels),
    "classes": (lambda: ClassScore(CLASSES), labels),
    "activation": (lambda: ActivationScore(CLASSES), labels),
    "boundary": (lambda: BoundaryScore(CLASSES), labels),
    "curve": (lambda: ThresholdCurve(CLASSES), maps),
    "pxap": (lambda: PixelAveragePrecision(), maps),
    "boxes": (lambda: BoxAccuracy(interval=0.1), boxes),
}


def values(metric: Metric) -> list[float]:
    found = metric.compute()
    parts = found.values() if isinstance(found, dict) else found if isinstance(found, tuple) else []
    flat = [torch.as_tensor(part).double().flatten() for part in parts or [found]]
    return torch.cat(flat).tolist()


def state(metric: Metric) -> dict[str, torch.Size]:
    return {name: getattr(metric, name).shape for name in metric._defaults}


@pytest.mark.parametrize("name", METRICS)
def test_the_state_has_one_size_after_one_photo_and_after_many(name: str) -> None:
    make, update = METRICS[name]
    metric = make()
    before = state(metric)
    for seed in range(30):
        update(metric, seed)
        assert state(metric) == before
    assert all(isinstance(getattr(metric, key), torch.Tensor) for key in metric._defaults)


@pytest.mark.parametrize("name", METRICS)
def test_two_processes_have_the_scores_of_one(name: str) -> None:
    make, update = METRICS[name]
    whole, first, second = make(), make(), make()
    for seed in range(8):
        update(whole, seed)
        update(first if seed % 2 else second, seed)
    # As torchmetrics does it between processes: each state by the function that it was added with.
    for key, reduce in whole._reductions.items():
        setattr(first, key, reduce(torch.stack([getattr(first, key), getattr(second, key)])))
    assert values(first) == pytest.approx(values(whole), nan_ok=True)


# Bytes. One whole number kept for each photo, in a list or in a tensor, takes more than three times
# as much: see `test_a_score_that_keeps_a_number_for_each_photo_is_noticed`.
FLAT = 1_000_000


def peaks_of(code: str) -> dict[int, int]:
    """What a process of its own prints: a test run's own memory would hide a growth."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], env=surroundings(),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {int(photos): peak for photos, peak in json.loads(done.stdout).items()}


def test_scores_of_each_class_and_of_activation_keep_what_the_score_of_all_keeps() -> None:
    # So that the test below, which runs for minutes, may leave them out.
    for score in (ClassScore, ActivationScore):
        assert score.update is SegmentationScore.update
        assert state(score(CLASSES)) == state(SegmentationScore(CLASSES))


@pytest.mark.slow
def test_a_hundred_thousand_photos_take_no_more_memory_than_a_thousand() -> None:
    found = peaks_of(
        "import json; from tests.metrics.many_photos import *\nprint(json.dumps(peaks(scoring())))"
    )
    assert list(found) == [1_000, 10_000, 100_000]
    assert found[100_000] - found[1_000] < FLAT, found


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["kept.append(10**6 + photo)", "kept.append(torch.ones(1))"])
def test_a_score_that_keeps_a_number_for_each_photo_is_noticed(keep: str) -> None:
    found = peaks_of(
        "import json; from tests.metrics.many_photos import *\nkept = []\n"
        f"print(json.dumps(peaks(lambda photo: {keep})))"
    )
    assert found[100_000] - found[1_000] > 3 * FLAT, found
