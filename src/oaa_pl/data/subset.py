"""A share of a data set's images, drawn at random: Table 3 of the paper.

Shapes: N images of the data set, n of the share.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError

__all__ = ["Subset", "draw_fraction"]

Item = TypeVar("Item")


def draw_fraction(items: Sequence[Item], fraction: float, seed: int) -> list[Item]:
    """Draw a share of the images at random.

    Args:
        items: ids or indices of all images.
        fraction: the share, in (0, 1]; at least one image is drawn.
        seed: 0 or more. Shares of one seed are nested: the 50 % include the 20 %.

    Returns:
        The drawn items in their original order.

    Raises:
        ConfigError: if `fraction` or `seed` is out of range.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"fraction must be above 0 and at most 1, got {fraction}")
    if seed < 0:
        raise ConfigError(f"fraction_seed must be 0 or more, got {seed}")
    if fraction == 1:
        return list(items)
    size = max(1, round(fraction * len(items)))
    drawn = np.random.default_rng(seed).permutation(len(items))[:size]
    return [items[i] for i in np.sort(drawn)]


class Subset:
    """Some images of a data set, as a data set.

    Args:
        whole: the data set.
        places: indices of the images in `whole`, n; an index in the subset counts this list.
    """

    def __init__(self, whole: Source, places: Sequence[int]) -> None:
        self.whole, self.places = whole, tuple(places)
        self.name, self.split, self.classes = whole.name, whole.split, whole.classes
        self.ids = tuple(whole.ids[place] for place in self.places)
        self.labels = whole.labels[list(self.places)]
        self.has_masks = whole.has_masks

    def photo(self, index: int) -> NDArray[np.uint8]:
        """The photo as upright RGB, (H, W, 3) uint8; raises `BadImageError`."""
        return self.whole.photo(self.places[index])

    def mask(self, index: int) -> NDArray[np.uint8]:
        """The true mask, (H, W) uint8; raises `MissingMaskError` and `BadMaskError`."""
        return self.whole.mask(self.places[index])

    def photo_path(self, index: int) -> Path:
        """The photo's file."""
        return self.whole.photo_path(self.places[index])
