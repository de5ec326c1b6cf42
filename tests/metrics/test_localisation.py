"""PxAP and box accuracies: definitions, golden numbers of the benchmark, bounded memory."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from tests.conftest import shared
from tests.metrics.random_maps import QUICK, SEEDS

from oaa_pl.errors import BadMaskError, ConfigError
from oaa_pl.ids import IGNORED
from oaa_pl.metrics import BoxAccuracy, PixelAveragePrecision, box_iou, boxes_at

SIDE = 224  # of the benchmark's maps and masks
# Its photos with the PxAP of any constant map: pixels of the object / pixels that count.
CASES = {
    "0bt_c3/1cd9ac0169ec7df0": 85.76,
    "0bt_c3/3a29f0b33894d4a6": 1.66,
    "0bt_c3/3b3b9931325d65c9": 2.43,
}


def average_precision(maps: list[np.ndarray], truths: list[np.ndarray], step: float) -> float:
    """PxAP by its definition: a sum over the thresholds, from the highest down."""
    values = np.concatenate([m[t != IGNORED] for m, t in zip(maps, truths, strict=True)])
    own = np.concatenate([t[t != IGNORED] for t in truths]) == 1
    area, before = 0.0, 0.0
    for threshold in [1.0, *np.arange(0, 1, step)[::-1].tolist()]:
        above = values >= threshold
        if above.any():
            precision = (above & own).sum() / above.sum()
            recall = (above & own).sum() / own.sum()
            area += precision * (recall - before)
            before = recall
    return area


@QUICK
@given(SEEDS)
def test_pxap_follows_its_definition(seed: int) -> None:
    generator = np.random.default_rng(seed)
    maps = [generator.integers(0, 41, (6, 7)) / 40 for _ in range(2)]
    truths = [generator.choice([0, 1, 1, IGNORED], (6, 7)) for _ in range(2)]
    metric = PixelAveragePrecision(interval=0.1)
    for one, truth in zip(maps, truths, strict=True):
        metric.update(torch.from_numpy(one)[None], torch.tensor([0]), torch.from_numpy(truth))
    assert float(metric.compute()) == pytest.approx(average_precision(maps, truths, 0.1))


def test_each_class_of_a_photo_has_a_map_of_its_own() -> None:
    truth = torch.tensor([[0, 1, 2]])
    maps = torch.tensor([[[0.0, 1, 0]], [[0, 0, 1]]])
    metric = PixelAveragePrecision()
    metric.update(maps, torch.tensor([0, 1]), truth)
    assert float(metric.compute()) == 1
    metric.reset()
    metric.update(maps, torch.tensor([1, 0]), truth)
    assert float(metric.compute()) < 0.5


def benchmark_mask(folder: Path, name: str) -> np.ndarray:
    """As the benchmark makes it: any instance is 1; the ignored region without them is 255."""

    def read(path: Path) -> np.ndarray:
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) > 0

    objects = np.any([read(p) for p in folder.glob(f"{name}_m*.png")], axis=0)
    return np.where(objects, 1, np.where(read(folder / f"{name}_ignore.png"), IGNORED, 0))


def pxap(attention: np.ndarray, truth: np.ndarray) -> float:
    metric = PixelAveragePrecision(interval=0.01)
    maps = torch.from_numpy(attention.astype(np.float32))[None]
    metric.update(maps, torch.tensor([0]), torch.from_numpy(truth))
    return 100 * float(metric.compute())


@pytest.mark.parametrize("name", CASES)
def test_the_benchmarks_masks_give_its_golden_numbers(name: str) -> None:
    truth = benchmark_mask(shared("outside/wsol_masks") / "val", name)
    for ignored in (0.0, 1.0):
        perfect = np.where(truth == IGNORED, ignored, truth)
        assert pxap(perfect, truth) == 100
    for value in (0.0, 0.5, 1.0):
        assert pxap(np.full(truth.shape, value), truth) == pytest.approx(CASES[name], abs=0.1)


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_drawn_masks_give_the_same_golden_rules(share: float) -> None:
    truth = np.zeros((40, 40), int)
    truth[: int(40 * share)] = 1
    truth[-4:] = IGNORED
    for ignored in (0.0, 1.0):
        assert pxap(np.where(truth == IGNORED, ignored, truth), truth) == 100
    for value in (0.0, 0.5, 1.0):
        assert pxap(np.full(truth.shape, value), truth) == pytest.approx(100 * share * 40 / 36)


def test_a_truth_without_any_object_is_an_error() -> None:
    metric = PixelAveragePrecision()
    metric.update(torch.rand(1, 4, 4), torch.tensor([0]), torch.zeros(4, 4).long())
    with pytest.raises(BadMaskError, match="PxAP has no recall"):
        metric.compute()


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A map with blobs, and true boxes."""
    generator = np.random.default_rng(seed)
    attention = cv2.GaussianBlur(generator.random((24, 24)).astype(np.float32), (0, 0), 2)
    low = generator.integers(0, 12, (2, 2))
    boxes = np.concatenate([low, low + generator.integers(4, 12, (2, 2))], axis=1)
    return (attention - attention.min()) / np.ptp(attention), boxes


@QUICK
@given(SEEDS)
def test_box_accuracies_follow_their_definitions(seed: int) -> None:
    cases = [random_case(seed + k) for k in range(4)]
    right = [bool((seed + k) % 2) for k in range(4)]
    metric = BoxAccuracy(interval=0.1, fixed=0.45)
    for (attention, boxes), guess in zip(cases, right, strict=True):
        metric.update(torch.from_numpy(attention)[None], [boxes], [guess])

    def overlap(case: tuple[np.ndarray, np.ndarray], threshold: float, parts: int | None) -> float:
        (found,) = boxes_at(case[0], [threshold])
        return float(box_iou(found[:parts], case[1]).max())

    def share(threshold: float, least: float, parts: int | None) -> float:
        return float(np.mean([overlap(case, threshold, parts) >= least for case in cases]))

    steps = np.arange(0, 1, 0.1).tolist()
    known = [overlap(case, 0.45, 1) >= 0.5 for case in cases]
    expected = {
        "max_box_acc": max(share(t, 0.5, 1) for t in steps),
        "max_box_acc_v2": np.mean([max(share(t, d, None) for t in steps) for d in (0.3, 0.5, 0.7)]),
        "gt_known": np.mean(known),
        "top1_loc": np.mean([a and b for a, b in zip(known, right, strict=True)]),
    }
    found = {name: float(value) for name, value in metric.compute().items()}
    assert found == pytest.approx(expected)


def test_a_map_that_is_its_box_is_always_right() -> None:
    attention = torch.zeros(1, 20, 20)
    attention[0, 5:15, 5:15] = 1
    metric = BoxAccuracy()
    metric.update(attention, [np.array([[5, 5, 15, 15]])])
    found = {name: float(value) for name, value in metric.compute().items()}
    assert math.isnan(found.pop("top1_loc"))  # no guess was given
    assert set(found.values()) == {1.0}


def test_maps_without_boxes_are_refused() -> None:
    metric = BoxAccuracy()
    with pytest.raises(ConfigError, match="a list for each of 1 maps, got 0"):
        metric.update(torch.zeros(1, 4, 4), [])
    with pytest.raises(ConfigError, match="a map has no true box"):
        metric.update(torch.zeros(1, 4, 4), [np.zeros((0, 4), int)])
    assert all(value.isnan() for value in metric.compute().values())


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"interval of thresholds must be in \(0, 1\), got 0"):
        PixelAveragePrecision(interval=0)
    with pytest.raises(ConfigError, match="fixed threshold must be in"):
        BoxAccuracy(fixed=1)
    with pytest.raises(ConfigError, match=r"attention must be in \[0, 1\], got 2 to 2"):
        PixelAveragePrecision().update(
            torch.full((1, 2, 2), 2.0), torch.tensor([0]), torch.zeros(2, 2).long()
        )
    with pytest.raises(ConfigError, match="got 1 maps of the classes"):
        PixelAveragePrecision().update(
            torch.zeros(1, 2, 2), torch.tensor([0, 1]), torch.zeros(2, 2).long()
        )
