"""The pictures that a training sends to the dashboard, and of which images."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.data.source import Source
from oaa_pl.report.pictures import heat_overlay, label_overlay

__all__ = [
    "CumulativePicture", "ProxyPicture", "growth_epochs", "spread", "watched_images",
    "watched_in",
]  # fmt: skip

WATCHED = 4  # images whose maps are kept for every epoch


def watched_images(source: Source) -> list[int]:
    """A few images, of different classes where possible.

    Up to `WATCHED` of each class's first images, in the order of the data set.
    """
    firsts = (int(np.flatnonzero(column)[0]) for column in source.labels.T if column.any())
    return sorted(dict.fromkeys(firsts))[:WATCHED]


def spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` of `count` indices, evenly spread, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(wanted, count))})


def growth_epochs(classifier: Path) -> list[Path]:
    """Files with the maps of the watched images, one for each epoch, in order."""
    return sorted((classifier / "growth").glob("epoch-*.npz"))


def watched_in(files: Sequence[Path]) -> list[int]:
    """Indices of the images whose maps these files hold."""
    if not files:
        return []
    with np.load(files[0]) as maps:
        found = (re.fullmatch(r"cumulative-(\d+)", name) for name in maps.files)
        return sorted(int(match[1]) for match in found if match)


class CumulativePicture:
    """A photo under its cumulative attention, the strongest class at each pixel.

    A class, not a closure: a training that spawns its processes pickles its callbacks.

    Args:
        accumulation: the callback whose stores are shown.
        store: name of the store.
        source: of the photos.
    """

    def __init__(self, accumulation: AttentionAccumulation, store: str, source: Source) -> None:
        self.accumulation, self.store, self.source = accumulation, store, source

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Picture of one image, RGB, (H, W, 3) uint8."""
        maps = self.accumulation.stores[self.store].maps(index).attention
        return heat_overlay(self.source.photo(index), maps.max(axis=0))


class ProxyPicture:
    """A photo under its proxy label.

    Args:
        source: of the photos.
        proxy: place to label map, (H, W) uint8 in {0..C, 255}.
    """

    def __init__(self, source: Source, proxy: Callable[[int], NDArray[np.uint8]]) -> None:
        self.source, self.proxy = source, proxy

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Picture of one image, RGB, (H, W, 3) uint8."""
        return label_overlay(self.source.photo(index), self.proxy(index))
