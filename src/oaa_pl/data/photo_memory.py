"""Keep decoded photos in memory, so that later epochs need not decode them again.

Shapes: H x W pixels of a photo.
"""

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.source import Source

__all__ = ["PhotoMemory"]


class PhotoMemory:
    """The photos of a source, each kept once it was read, until the memory is full.

    None is given up for another: an epoch shows every photo once, so that would only move the work.
    The pixels are the same with any limit.

    Args:
        source: photos.
        limit: bytes of pixels that may be kept; 0: no photo is kept.
    """

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source
        self._left = limit
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def photo(self, index: int) -> NDArray[np.uint8]:
        """A photo of the source, which the caller may change.

        Args:
            index: in 0..N-1.

        Returns:
            Upright RGB, (H, W, 3) uint8.

        Raises:
            BadImageError: if the file is read and is damaged.
        """
        kept = self._kept.get(index)
        if kept is not None:
            return kept.copy()
        photo = self._source.photo(index)
        if photo.nbytes <= self._left:
            self._left -= photo.nbytes
            self._kept[index] = photo.copy()
        return photo
