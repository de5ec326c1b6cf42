"""A cache of saliency maps.

A cached map is an 8-bit PNG with checksums of its photo and of its own pixels. If the photo changed
or the file is damaged, the map is made again.

Shapes: a photo is (H, W, 3) uint8 RGB, its saliency (H, W) float32 in [0, 1].
"""

import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.errors import BadImageError, MissingImageError
from oaa_pl.files.home import expanded_path
from oaa_pl.files.image import opened
from oaa_pl.proxy.png import save_png

__all__ = ["KeptMaps", "to_levels"]

_PHOTO, _PIXELS = "photo", "pixels"


def to_levels(saliency: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Saliency as it is cached: the nearest of 256 gray levels.

    Args:
        saliency: in [0, 1], (H, W).

    Returns:
        0..255, (H, W).
    """
    levels = saliency * 255
    return np.rint(levels, out=levels).astype(np.uint8)


class KeptMaps:
    """The cached maps of one cue with one set of parameters.

    Args:
        cache: folder; gets a subfolder per cue and set of parameters. None: no cache.
        cue: name of the cue.
        parameters: everything that the maps depend on, except the photos.
    """

    def __init__(self, cache: str | Path | None, cue: str, parameters: list[Any]) -> None:
        digest = hashlib.sha256(json.dumps(parameters).encode()).hexdigest()
        self.folder = None if cache is None else expanded_path(cache) / f"{cue}-{digest[:12]}"

    def __call__(
        self,
        image_id: str,
        photo: NDArray[np.uint8],
        make: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """Saliency of one photo: from the cache, or made and then cached.

        Args:
            image_id: name of the file without `.png`.
            photo: RGB, (H, W, 3).
            make: photo to saliency.

        Returns:
            Saliency in steps of 1/255, the same with and without a cache, (H, W).

        Raises:
            OutputError: if the cache cannot be written.
        """
        path = None if self.folder is None else self.folder / f"{image_id}.png"
        levels = None if path is None else _kept(path, photo)
        if levels is None:
            levels = to_levels(make(photo))
            if path is not None:
                notes = {_PHOTO: _sum(photo), _PIXELS: _sum(levels)}
                save_png(path, Image.fromarray(levels), notes)
        kept = levels.astype(np.float32)
        return np.divide(kept, np.float32(255), out=kept)


def _kept(path: Path, photo: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The map at `path`; None if it is missing, damaged or of another photo."""
    try:
        with opened(path) as image:
            levels = np.array(image)
            sums = image.info.get(_PHOTO), image.info.get(_PIXELS)
    except (MissingImageError, BadImageError):
        return None
    return levels if sums == (_sum(photo), _sum(levels)) else None


def _sum(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape} {zlib.crc32(np.ascontiguousarray(pixels).data):08x}"
