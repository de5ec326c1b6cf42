from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from oaa_pl.config.compose import compose_group
from oaa_pl.errors import BadMaskError, ConfigError
from oaa_pl.proxy.rule import ProxyRule, make_labels

CONF = Path(__file__).parents[2] / "conf" / "proxy"
RULE = ProxyRule(
    foreground=0.3,
    conflict=0.9,
    salient_background=32 / 255,
    attended_background=0.8,
    minimum_foreground=0.01,
)


def proxy_of(*evidence: Any) -> np.ndarray:
    return make_labels(*evidence).proxy


def hard_of(*evidence: Any) -> np.ndarray:
    return make_labels(*evidence).hard


def hard_by_loops(
    attention: np.ndarray, categories: np.ndarray, saliency: np.ndarray, rule: ProxyRule
) -> np.ndarray:
    label = np.zeros(saliency.shape, dtype=np.uint8)
    for row in range(saliency.shape[0]):
        for column in range(saliency.shape[1]):
            best = 1 - saliency[row, column]
            for k, category in enumerate(categories):
                value = attention[k, row, column]
                if value >= rule.foreground and value > best:
                    best, label[row, column] = value, category + 1
    return label


def proxy_by_loops(
    attention: np.ndarray, categories: np.ndarray, saliency: np.ndarray, rule: ProxyRule
) -> np.ndarray:
    label = hard_by_loops(attention, categories, saliency, rule)
    found = 0
    for row in range(saliency.shape[0]):
        for column in range(saliency.shape[1]):
            here = attention[:, row, column]
            strong = sum(value > rule.conflict for value in here)
            strong += 1 - saliency[row, column] > rule.conflict
            doubted = label[row, column] == 0 and (
                saliency[row, column] >= rule.salient_background
                or any(value > rule.attended_background for value in here)
            )
            if strong > 1 or doubted:
                label[row, column] = 255
            found += 0 < label[row, column] < 255
    if found / saliency.size < rule.minimum_foreground:
        label[...] = 255
    return label


def scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps in steps of 1/255 with the thresholds among them, so that ties and borders occur."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 4))
    levels = np.array([0, 31, 32, 33, 76, 77, 120, 178, 200, 204, 205, 229, 230, 240, 255])
    maps = (rng.choice(levels, (count + 1, 12, 9)) / np.float32(255)).astype(np.float32)
    return maps[1:], rng.choice(20, count, replace=False), maps[0]


@pytest.mark.parametrize("seed", range(20))
def test_the_labels_are_those_of_plain_loops(seed: int) -> None:
    case = scene(seed)
    assert (proxy_of(*case, RULE) == proxy_by_loops(*case, RULE)).all()
    assert (hard_of(*case, RULE) == hard_by_loops(*case, RULE)).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_label_holds_background_tagged_classes_and_ignored_only(seed: int) -> None:
    attention, categories, saliency = scene(seed)
    allowed = {0, *(categories + 1).tolist()}
    assert set(np.unique(hard_of(attention, categories, saliency, RULE))) <= allowed
    label = proxy_of(attention, categories, saliency, RULE)
    assert set(np.unique(label)) <= allowed | {255}
    assert label.dtype == np.uint8


@pytest.mark.parametrize("seed", range(5))
def test_what_is_not_ignored_is_the_hard_of(seed: int) -> None:
    case = scene(seed)
    label = proxy_of(*case, replace(RULE, minimum_foreground=0.0))
    assert (label == hard_of(*case, RULE))[label != 255].all()


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_classes_does_not_matter_without_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    attention, saliency = rng.random((3, 8, 8)), rng.random((8, 8))
    categories = np.array([4, 9, 2])
    forward = proxy_of(attention, categories, saliency, RULE)
    assert (forward == proxy_of(attention[::-1], categories[::-1], saliency, RULE)).all()


def one_pixel(attention: list[float], saliency: float) -> int:
    """Label of a pixel beside one certain pixel of class 7, which keeps the image."""
    maps = np.array([[[value, 0.0]] for value in attention] + [[[0.0, 0.85]]])
    categories = np.array([*range(len(attention)), 7])
    return int(proxy_of(maps, categories, np.array([[saliency, 1.0]]), RULE)[0, 0])


@pytest.mark.parametrize(
    ("attention", "saliency", "label"),
    [
        ([0.5, 0.6], 0.9, 2),  # the stronger class
        ([0.5, 0.5], 0.9, 1),  # the first of equals
        ([0.5, 0.0], 0.5, 255),  # equal to the background, which wins but is salient
        ([0.3, 0.0], 0.9, 1),  # at the threshold
        ([0.29, 0.0], 0.9, 255),  # below it: background, but salient
        ([0.29, 0.0], 0.1, 0),  # below it: background
        ([0.0, 0.0], 32 / 255, 255),  # background as salient as that is doubted
        ([0.0, 0.0], 31 / 255, 0),
        ([0.85, 0.0], 0.1, 255),  # background that is attended
        ([0.8, 0.0], 0.1, 0),
        ([0.95, 0.91], 1.0, 255),  # two classes claim it
        ([0.95, 0.9], 1.0, 1),
        ([0.95, 0.0], 0.09, 255),  # class and background claim it
    ],
)
def test_each_rule_at_its_threshold(attention: list[float], saliency: float, label: int) -> None:
    assert one_pixel(attention, saliency) == label


@pytest.mark.parametrize(("cells", "ignored"), [(0, True), (1, True), (2, False), (3, False)])
def test_an_image_of_almost_no_foreground_is_ignored_whole(cells: int, ignored: bool) -> None:
    attention, saliency = np.zeros((1, 10, 20)), np.zeros((10, 20))
    attention[0].flat[:cells] = saliency.flat[:cells] = 0.85
    label = proxy_of(attention, np.array([3]), saliency, RULE)
    assert (label == 255).all() == ignored
    assert (label == 4).sum() == (0 if ignored else cells)


def test_no_cue_leaves_the_background_in() -> None:
    attention = np.array([[[0.1, 0.5, 0.85]]])
    saliency = np.full((1, 3), 0.7)
    assert proxy_of(attention, np.array([0]), saliency, RULE).tolist() == [[0, 1, 1]]


def test_an_image_without_classes_has_no_foreground() -> None:
    nothing = np.zeros((0, 4, 5)), np.zeros(0, dtype=int), np.zeros((4, 5))
    assert (hard_of(*nothing, RULE) == 0).all()
    assert (proxy_of(*nothing, RULE) == 255).all()


@pytest.mark.parametrize("make", [proxy_of, hard_of])
@pytest.mark.parametrize("shape", [(1, 4, 5), (2, 5, 4), (3, 4, 5)])
def test_maps_of_another_size_are_refused(
    make: Callable[..., np.ndarray], shape: tuple[int, ...]
) -> None:
    with pytest.raises(BadMaskError, match=r"attention must be .* = \(2, 4, 5\)"):
        make(np.zeros(shape), np.array([1, 2]), np.zeros((4, 5)), RULE)


@pytest.mark.parametrize("make", [proxy_of, hard_of])
def test_arguments_are_left_alone(make: Callable[..., np.ndarray]) -> None:
    case = scene(0)
    copies = [array.copy() for array in case]
    make(*case, RULE)
    assert all((array == copy).all() for array, copy in zip(case, copies, strict=True))


def test_a_threshold_out_of_range_is_named() -> None:
    with pytest.raises(ConfigError, match=r"proxy.conflict must be in \[0, 1\], got 1.5"):
        replace(RULE, conflict=1.5)


def test_the_releases_thresholds_are_in_the_configuration() -> None:
    rule = instantiate(OmegaConf.load(CONF / "release.yaml"))
    assert asdict(rule) == pytest.approx(asdict(RULE))
    level = np.float32(32) / np.float32(255)
    assert level >= rule.salient_background  # a pixel of gray level 32 is salient


@pytest.mark.parametrize("seed", range(5))
def test_with_less_ignored_attention_ignores_no_pixel(seed: int) -> None:
    rule: ProxyRule = instantiate(compose_group("proxy", "less_ignored"))
    case = scene(seed)
    proxy, hard = proxy_of(*case, rule), hard_of(*case, rule)
    doubtful = (hard == 0) & (case[2] >= rule.salient_background)
    if (proxy != 255).any():  # not so little foreground that the whole photo is ignored
        assert ((proxy == 255) == doubtful).all()
        assert (proxy[~doubtful] == hard[~doubtful]).all()
    assert asdict(rule) | {"conflict": 0.9, "attended_background": 0.8} == pytest.approx(
        asdict(RULE)
    )


def test_refined_evidence_decides_the_class_and_raw_evidence_what_is_ignored() -> None:
    attention = np.array([[[0.7, 0.95, 0.1]], [[0.5, 0.92, 0.2]]], np.float32)
    saliency = np.array([[0.9, 0.9, 0.05]], np.float32)
    categories = np.array([4, 8])
    rule = replace(RULE, minimum_foreground=0.0)
    seen = []

    def swapped(evidence: np.ndarray) -> np.ndarray:
        seen.append(evidence)
        return evidence[[0, 2, 1]]

    assert hard_of(attention, categories, saliency, rule).tolist() == [[5, 5, 0]]
    assert hard_of(attention, categories, saliency, rule, swapped).tolist() == [[9, 9, 0]]
    assert proxy_of(attention, categories, saliency, rule).tolist() == [[5, 255, 0]]
    assert proxy_of(attention, categories, saliency, rule, swapped).tolist() == [[9, 255, 0]]
    # Background first, weak attention dropped.
    expected = np.array([[[0.1, 0.1, 0.95]], [[0.7, 0.95, 0]], [[0.5, 0.92, 0]]])
    for evidence in seen:
        np.testing.assert_allclose(evidence, expected, atol=1e-6)


def test_evidence_exactly_at_the_conflict_threshold_is_no_conflict() -> None:
    half = replace(RULE, conflict=0.5, salient_background=1.0)
    attention, background = np.full((1, 2, 2), 0.75), np.array([[0.5, 0.5], [0.5, 0.25]])
    label = proxy_of(attention, np.array([2]), background, half)
    assert label.tolist() == [[3, 3], [3, 255]]  # 1 - 0.25 of background is above it
