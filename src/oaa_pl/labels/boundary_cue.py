"""The boundary cue: saliency from the photo alone, computed once and kept.

Shapes: a photo is (H, W, 3) uint8 RGB, its saliency (H, W) float32 in [0, 1].
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import ConfigError
from oaa_pl.labels.boundary import boundary_saliency
from oaa_pl.labels.kept_maps import KeptMaps

__all__ = ["BoundaryCue"]

_RECIPE = 1  # raise when `boundary_saliency` changes, so that kept maps are made again


class BoundaryCue:
    """Boundary connectivity of every photo; see `labels.boundary`.

    Args:
        cache: folder for the maps, one subfolder per set of parameters; none keeps nothing.
        segments: superpixels to aim for; small photos get fewer.
        smoothing: sigma of the blur over the superpixels' edges, in long sides of the photo.

    Raises:
        ConfigError: if a parameter is out of range.
    """

    def __init__(self, cache: str | Path | None, segments: int, smoothing: float) -> None:
        if segments < 1 or smoothing < 0:
            raise ConfigError(
                f"background.segments must be 1 or more and background.smoothing 0 or more, "
                f"got {segments} and {smoothing}"
            )
        self.segments = segments
        self.smoothing = smoothing
        self._kept = KeptMaps(cache, "boundary", [_RECIPE, segments, float(smoothing)])

    def __call__(self, image_id: str, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Saliency of one photo, from the cache if it is there.

        Args:
            image_id: names the file in the cache.
            photo: RGB, (H, W, 3).

        Returns:
            Saliency in steps of 1/255, the same with and without a cache, (H, W).

        Raises:
            OutputError: if the cache cannot be written.
        """
        return self._kept(image_id, photo, self._make)

    def _make(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        return boundary_saliency(photo, self.segments, self.smoothing)
