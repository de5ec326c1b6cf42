from heapq import heappop, heappush
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import minimize

from oaa_pl.proxy.boundary import (
    background_probability,
    boundary_saliency,
    optimised_saliency,
    weighted_contrast,
)
from oaa_pl.proxy.superpixels import Superpixels, superpixels


def scene(size: tuple[int, int] = (96, 128), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A red disc on noisy green, and its mask."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[: size[0], : size[1]]
    mask = (row - size[0] * 0.55) ** 2 + (column - size[1] * 0.4) ** 2 < (min(size) / 4) ** 2
    photo = np.where(mask[..., None], (200, 60, 50), (70, 130, 80)) + rng.normal(0, 12, (*size, 3))
    return photo.clip(0, 255).astype(np.uint8), mask


@pytest.fixture(scope="module")
def patches() -> Superpixels:
    return superpixels(scene((40, 50))[0], 25, 20.0)


def geodesics_by_dijkstra(patches: Superpixels) -> np.ndarray:
    """Shortest path between all patches, by a plain queue."""
    count = len(patches.at_border)
    paths = np.full((count, count), np.inf)
    for start in range(count):
        queue = [(0.0, start)]
        while queue:
            length, here = heappop(queue)
            if length >= paths[start, here]:
                continue
            paths[start, here] = length
            for there in range(count):
                both = patches.at_border[here] and patches.at_border[there]
                if there != here and (patches.adjacent[here, there] or both):
                    heappush(queue, (length + patches.colour_distance[here, there], there))
    return paths


def test_background_probability_is_that_of_plain_loops(patches: Superpixels) -> None:
    paths = geodesics_by_dijkstra(patches)
    expected = []
    for i in range(len(paths)):
        area = border = 0.0
        for j in range(len(paths)):
            weight = np.exp(-(paths[i, j] ** 2) / (2 * 8.0**2))
            area += weight
            border += weight * patches.at_border[j]
        expected.append(1 - np.exp(-((border / area**0.5) ** 2) / 2))
    assert background_probability(patches) == pytest.approx(np.array(expected), abs=1e-4)


def test_contrast_is_that_of_plain_loops(patches: Superpixels) -> None:
    background = np.random.default_rng(0).random(len(patches.at_border))
    expected = []
    for i in range(len(background)):
        total = 0.0
        for j in range(len(background)):
            near = np.exp(-(patches.place_distance[i, j] ** 2) / (2 * 0.25**2))
            total += patches.colour_distance[i, j] * near * background[j]
        expected.append(total)
    assert weighted_contrast(patches, background) == pytest.approx(np.array(expected))


def test_the_optimum_is_where_a_search_finds_it(patches: Superpixels) -> None:
    rng = np.random.default_rng(0)
    background, evidence = rng.random((2, len(patches.at_border)))

    def cost(saliency: np.ndarray) -> float:
        total = 0.0
        for i in range(len(saliency)):
            total += 5 * background[i] * saliency[i] ** 2 + evidence[i] * (saliency[i] - 1) ** 2
            for j in range(i):
                if patches.adjacent[i, j]:
                    alike = np.exp(-(patches.colour_distance[i, j] ** 2) / (2 * 10.0**2))
                    total += (alike + 0.1) * (saliency[i] - saliency[j]) ** 2
        return total

    found = optimised_saliency(patches, background, evidence)
    searched = minimize(cost, np.full(len(background), 0.5), tol=1e-8)
    assert found == pytest.approx(searched.x, abs=1e-3)
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("size", [(96, 128), (128, 96), (240, 320)])
def test_an_object_stands_out_and_the_rest_does_not(size: tuple[int, int]) -> None:
    photo, mask = scene(size)
    saliency = boundary_saliency(photo, segments=300, smoothing=0.01)
    assert saliency.dtype == np.float32
    assert saliency.shape == size
    assert ((saliency >= 0) & (saliency <= 1)).all()
    found = saliency > 0.5
    assert (found & mask).sum() / (found | mask).sum() > 0.85


def test_an_object_that_touches_the_border_still_stands_out() -> None:
    photo, _ = scene((96, 128))
    photo[40:, 50:80] = (60, 60, 200)
    saliency = boundary_saliency(photo, segments=300, smoothing=0.01)
    assert saliency[45:, 52:78].mean() > 0.5
    assert saliency[:, 100:].mean() < 0.1


@pytest.mark.parametrize(
    "photo",
    [
        np.full((48, 64, 3), 90, dtype=np.uint8),
        np.zeros((1, 1, 3), dtype=np.uint8),
        np.zeros((2, 90, 3), dtype=np.uint8),
    ],
    ids=["one colour", "one pixel", "two rows"],
)
def test_where_nothing_stands_out_nothing_is_salient(photo: np.ndarray) -> None:
    assert (boundary_saliency(photo, segments=300, smoothing=0.01) == 0).all()


@pytest.mark.parametrize("size", [(5, 7), (16, 16), (3, 200)])
def test_any_photo_has_finite_saliency(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    saliency = boundary_saliency(photo, segments=300, smoothing=0.01)
    assert saliency.shape == size
    assert ((saliency >= 0) & (saliency <= 1)).all()


def test_real_photos_are_parted_better_than_by_their_centre(voc2012_320: Path) -> None:
    ids = (voc2012_320 / "ImageSets/Segmentation/train.txt").read_text().split()[::350]
    overlap = {"boundary": [], "centre": []}
    for name in ids:
        with Image.open(voc2012_320 / "JPEGImages" / f"{name}.jpg") as image:
            photo = np.asarray(image.convert("RGB").reduce(2))
        with Image.open(voc2012_320 / "SegmentationClass" / f"{name}.png") as image:
            mask = np.asarray(image.resize(photo.shape[1::-1], Image.Resampling.NEAREST))
        known, truth = mask != 255, (mask > 0) & (mask != 255)
        row, column = np.mgrid[-1 : 1 : photo.shape[0] * 1j, -1 : 1 : photo.shape[1] * 1j]
        centre = row**2 + column**2 < 0.59**2  # the best disc
        cue = boundary_saliency(photo, segments=300, smoothing=0.01) > 0.5
        for kind, found in (("boundary", cue), ("centre", centre)):
            overlap[kind].append((found & truth).sum() / ((found & known) | truth).sum())
    assert np.mean(overlap["boundary"]) > np.mean(overlap["centre"]) + 0.05
