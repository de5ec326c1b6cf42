"""Keep photos in memory, so that later epochs need not decode and resize them again.

Shapes: H x W pixels of a photo.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.source import Source

__all__ = ["PhotoMemory"]


class _Kept(NamedTuple):
    """Pixels of one photo, and whether they are resized already."""

    pixels: NDArray[np.uint8]
    resized: bool


class PhotoMemory:
    """The photos of a source, resized, each kept once it was read, until the memory is full.

    None is given up for another: an epoch shows every photo once, so that would only move the work.
    A photo that the resize enlarges is kept as it was. The pixels are the same with any limit.

    Args:
        source: photos.
        limit: bytes of pixels that may be kept; 0: no photo is kept.
        resized: makes of a photo, (H, W, 3) uint8, the one that is returned, every time the same.
    """

    def __init__(
        self,
        source: Source,
        limit: int,
        resized: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    ) -> None:
        self._source = source
        self._left = limit
        self._resized = resized
        self._kept: dict[int, _Kept] = {}

    def photo(self, index: int) -> NDArray[np.uint8]:
        """A photo of the source, resized. The caller may change it.

        Args:
            index: in 0..N-1.

        Returns:
            Upright RGB, (H, W, 3) uint8.

        Raises:
            BadImageError: if the file is read and is damaged.
        """
        kept = self._kept.get(index)
        if kept is not None:
            pixels = kept.pixels.copy()
            return pixels if kept.resized else self._resized(pixels)
        photo = self._source.photo(index)
        resized = self._resized(photo)
        smaller = photo if photo.nbytes < resized.nbytes else resized
        if smaller.nbytes <= self._left:
            self._left -= smaller.nbytes
            self._kept[index] = _Kept(smaller.copy(), smaller is resized)
        return resized
