"""The boundary cue: saliency from the photo alone, computed once and cached.

Shapes: a photo is (H, W, 3) uint8 RGB, its saliency (H, W) float32 in [0, 1].
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import ConfigError
from oaa_pl.proxy.boundary import boundary_saliency
from oaa_pl.proxy.kept_maps import KeptMaps
from oaa_pl.proxy.resize import to_photo

__all__ = ["BoundaryCue"]

_RECIPE = 2  # raise when `boundary_saliency` changes, so that cached maps are made again
# Pixels of the long side at which up to 300 superpixels are made. On 165 photos of VOC train the
# overlap with masks was the same at 205, 256, 320 and 500 pixels; time grows with their square.
_LONG_SIDE = 320
_SEGMENTS = 300


class BoundaryCue:
    """Boundary connectivity of every photo; see `proxy.boundary`.

    Saliency of photos above 320 px is computed at 320 px and resized to the photo, so that time and
    memory do not grow with the camera. More than 300 superpixels get more pixels, as many for each.

    Args:
        cache: folder for the maps, one subfolder per set of parameters; None: no cache.
        segments: wanted number of superpixels; small photos get fewer.
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
        made_by = [_RECIPE, segments, float(smoothing)]
        self._kept = KeptMaps(cache, "boundary", made_by)
        self._long_side = round(_LONG_SIDE * max(1, segments / _SEGMENTS) ** 0.5)
        # A folder of their own: older versions made maps of large photos at other sizes.
        self._kept_large = KeptMaps(cache, "boundary", [*made_by, self._long_side])

    def __call__(self, image_id: str, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Saliency of one photo, from the cache if it has it.

        Args:
            image_id: name of the file in the cache.
            photo: RGB, (H, W, 3).

        Returns:
            Saliency in steps of 1/255, the same with and without a cache, (H, W).

        Raises:
            OutputError: if the cache cannot be written.
        """
        large = max(photo.shape[:2]) > self._long_side
        return (self._kept_large if large else self._kept)(image_id, photo, self._make)

    def _make(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = photo.shape[:2]
        share = self._long_side / max(height, width)
        if share >= 1:
            return boundary_saliency(photo, self.segments, self.smoothing)
        size = max(1, round(width * share)), max(1, round(height * share))
        small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        saliency = boundary_saliency(small, self.segments, self.smoothing)
        whole: NDArray[np.float32] = to_photo(saliency[None], (height, width))[0]
        return whole
