from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from oaa_pl.data.photo_memory import PhotoMemory
from oaa_pl.data.voc import VocSource
from oaa_pl.errors import BadImageError


def halved(photo: np.ndarray) -> np.ndarray:
    return photo[::2, ::2].copy()


def doubled(photo: np.ndarray) -> np.ndarray:
    return photo.repeat(2, axis=0).repeat(2, axis=1)


@pytest.fixture
def source(tiny_voc: Path) -> VocSource:
    return VocSource(tiny_voc, "train")


def test_a_kept_photo_needs_no_file(source: VocSource) -> None:
    photos = PhotoMemory(source, 10**6, halved)
    first = photos.photo(1)
    source.photo_path(1).unlink()
    np.testing.assert_array_equal(photos.photo(1), first)


@pytest.mark.parametrize("resized", [halved, doubled, lambda photo: photo])
def test_what_a_caller_changes_is_not_kept(
    source: VocSource, resized: Callable[[np.ndarray], np.ndarray]
) -> None:
    photos, true = PhotoMemory(source, 10**6, resized), resized(source.photo(1))
    for _ in range(3):
        seen = photos.photo(1)
        np.testing.assert_array_equal(seen, true)
        seen[:] = 0


@pytest.mark.parametrize("resized", [halved, doubled])
def test_a_full_memory_keeps_what_it_has_and_reads_the_others(
    source: VocSource, resized: Callable[[np.ndarray], np.ndarray]
) -> None:
    smaller = min(source.photo(2).nbytes, resized(source.photo(2)).nbytes)
    photos = PhotoMemory(source, smaller, resized)
    wanted = [resized(source.photo(index)) for index in (2, 0)]
    for _ in range(2):
        for index, photo in zip((2, 0), wanted, strict=True):
            np.testing.assert_array_equal(photos.photo(index), photo)
    for index in (2, 0):
        source.photo_path(index).write_bytes(b"damaged")
    np.testing.assert_array_equal(photos.photo(2), wanted[0])
    with pytest.raises(BadImageError):
        photos.photo(0)


def test_without_memory_every_photo_is_read(source: VocSource) -> None:
    photos = PhotoMemory(source, 0, halved)
    photos.photo(0)
    source.photo_path(0).write_bytes(b"damaged")
    with pytest.raises(BadImageError):
        photos.photo(0)
