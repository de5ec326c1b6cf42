"""The boundary cue: saliency from the photo alone, computed once and kept.

A kept map is an 8-bit PNG that names the photo it was made from and the sum of its own pixels, so
that a changed photo or a damaged file is noticed and the map made again.

Shapes: a photo is (H, W, 3) uint8 RGB, its saliency (H, W) float32 in [0, 1].
"""

import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from oaa_pl.errors import ConfigError
from oaa_pl.labels.boundary import boundary_saliency
from oaa_pl.labels.png import save_png

__all__ = ["BoundaryCue"]

_RECIPE = 1  # raise when `boundary_saliency` changes, so that kept maps are made again
_PHOTO, _PIXELS = "photo", "pixels"


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
        parameters = json.dumps([_RECIPE, segments, float(smoothing)])
        name = f"boundary-{hashlib.sha256(parameters.encode()).hexdigest()[:12]}"
        self.folder = None if cache is None else Path(cache).expanduser() / name

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
        path = None if self.folder is None else self.folder / f"{image_id}.png"
        levels = None if path is None else _kept(path, photo)
        if levels is None:
            saliency = boundary_saliency(photo, self.segments, self.smoothing)
            levels = np.rint(saliency * 255).astype(np.uint8)
            if path is not None:
                notes = {_PHOTO: _sum(photo), _PIXELS: _sum(levels)}
                save_png(path, Image.fromarray(levels), notes)
        return levels.astype(np.float32) / np.float32(255)


def _kept(path: Path, photo: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The map at `path`, or none if it is missing, damaged or of another photo."""
    try:
        with Image.open(path) as image:
            levels = np.array(image)
            sums = image.info.get(_PHOTO), image.info.get(_PIXELS)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, zlib.error):
        return None
    return levels if sums == (_sum(photo), _sum(levels)) else None


def _sum(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape} {zlib.crc32(pixels.tobytes()):08x}"
