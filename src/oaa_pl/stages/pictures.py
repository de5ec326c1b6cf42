"""The pictures that a training sends to the dashboard, and of which images."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.callbacks.overlays import Labelled
from oaa_pl.data.source import Source
from oaa_pl.proxy.resize import to_photo
from oaa_pl.report.pictures import heat_overlay

__all__ = ["CumulativePicture", "ProxyPicture", "spread"]


def spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` of `count` indices, evenly spread, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(wanted, count))})


class CumulativePicture:
    """A photo under its cumulative attention, and the strongest class at each pixel.

    A class, not a closure: a training that spawns its processes pickles its callbacks.

    Args:
        accumulation: the callback whose stores are shown.
        store: name of the store.
        source: of the photos.
        threshold: attention below it is background, in [0, 1].
    """

    def __init__(
        self, accumulation: AttentionAccumulation, store: str, source: Source, threshold: float
    ) -> None:
        self.accumulation, self.store, self.source = accumulation, store, source
        self.threshold = threshold

    def __call__(self, index: int) -> Labelled:
        """Picture and label map of one image."""
        photo = self.source.photo(index)
        categories, attention = self.accumulation.stores[self.store].maps(index)
        whole = to_photo(attention, (photo.shape[0], photo.shape[1]))
        strongest = np.asarray(categories)[whole.argmax(axis=0)] + 1
        label = np.where(whole.max(axis=0) >= self.threshold, strongest, 0).astype(np.uint8)
        return Labelled(heat_overlay(photo, attention.max(axis=0)), label)


class ProxyPicture:
    """A photo and its proxy label.

    Args:
        source: of the photos.
        proxy: place to label map, (H, W) uint8 in {0..C, 255}.
    """

    def __init__(self, source: Source, proxy: Callable[[int], NDArray[np.uint8]]) -> None:
        self.source, self.proxy = source, proxy

    def __call__(self, index: int) -> Labelled:
        """Picture and label map of one image."""
        return Labelled(self.source.photo(index), self.proxy(index))
