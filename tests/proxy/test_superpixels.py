import numpy as np
import pytest

from oaa_pl.proxy.superpixels import Superpixels, superpixels


def halves() -> np.ndarray:
    """Black above, white below."""
    photo = np.zeros((30, 40, 3), dtype=np.uint8)
    photo[15:] = 255
    return photo


@pytest.fixture(scope="module")
def noisy() -> Superpixels:
    photo = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    return superpixels(photo, 30, 20.0)


def test_every_pixel_has_a_patch_and_every_patch_a_pixel(noisy: Superpixels) -> None:
    assert noisy.patch.shape == (40, 30)
    assert set(np.unique(noisy.patch)) == set(range(len(noisy.at_border)))
    assert 10 < len(noisy.at_border) < 60


def test_no_patch_lies_across_a_strong_edge() -> None:
    patches = superpixels(halves(), 30, 20.0)
    assert set(patches.patch[:14].ravel()).isdisjoint(patches.patch[16:].ravel())


def test_neighbours_are_those_that_share_an_edge_of_a_pixel(noisy: Superpixels) -> None:
    expected = np.zeros_like(noisy.adjacent)
    height, width = noisy.patch.shape
    for row in range(height):
        for column in range(width):
            for other in ((row + 1, column), (row, column + 1)):
                if other[0] < height and other[1] < width:
                    a, b = noisy.patch[row, column], noisy.patch[other]
                    if a != b:
                        expected[a, b] = expected[b, a] = True
    assert (noisy.adjacent == expected).all()


def test_the_border_is_the_outermost_pixels(noisy: Superpixels) -> None:
    inner = np.ones(noisy.patch.shape, dtype=bool)
    inner[1:-1, 1:-1] = False
    assert set(np.flatnonzero(noisy.at_border)) == set(noisy.patch[inner])


def test_distances_are_those_of_mean_colour_and_mean_place() -> None:
    patches = superpixels(halves(), 30, 20.0)
    top, bottom = patches.patch[0, 0], patches.patch[-1, 0]
    assert patches.colour_distance[top, bottom] == pytest.approx(100, abs=0.5)  # L* of white
    rows = [np.argwhere(patches.patch == number).mean(axis=0) for number in (top, bottom)]
    expected = np.linalg.norm(rows[0] - rows[1]) / 40
    assert patches.place_distance[top, bottom] == pytest.approx(expected)
    for distance in (patches.colour_distance, patches.place_distance):
        assert (distance == distance.T).all()
        assert (np.diag(distance) == 0).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2)])
def test_the_smallest_photos_are_cut_too(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert superpixels(photo, 10, 20.0).patch.shape == size
