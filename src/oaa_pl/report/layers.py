"""Layers of a photo for the page's explorer: small pictures that the browser lays over each other.

A map is one grey value for each cell; the page colours and enlarges it. A label map is a picture of
a few colours, transparent where it is background. Both are a tenth of a ready overlay's size, so
that hundreds of photos fit one page.

Shapes: H x W pixels of the photo, h x w cells of a map.
"""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.errors import ConfigError
from oaa_pl.ids import IGNORED
from oaa_pl.proxy.palette import voc_palette

__all__ = ["label_layer", "map_layer"]

_PALETTE = voc_palette()
_IGNORED_COLOUR, _IGNORED_ALPHA = (205, 205, 205), 190
_CELLS = 64  # a map's long side at most; the usual grids are smaller


def map_layer(attention: NDArray[np.floating]) -> str:
    """Encode an attention map as a grey PNG, a pixel for each cell.

    Args:
        attention: in [0, 1], (h, w); NaN counts as 0.

    Returns:
        A `data:` address.

    Raises:
        ConfigError: if the shape is another one.
    """
    _check(attention)
    grey = np.rint(255 * np.clip(np.nan_to_num(attention.astype(np.float32)), 0.0, 1.0))
    picture = Image.fromarray(grey.astype(np.uint8))
    picture.thumbnail((_CELLS, _CELLS), Image.Resampling.BILINEAR)
    return _address(picture)


def label_layer(label: NDArray[np.uint8], side: int) -> str:
    """Encode a label map as a PNG of VOC's colours; background is transparent, ignored is grey.

    Args:
        label: ids, 0 background, c + 1 class c, 255 ignored, (H, W).
        side: pixels of the long side at most; nearest neighbour, never enlarged.

    Returns:
        A `data:` address.

    Raises:
        ConfigError: if the shape is another one.
    """
    _check(label)
    height, width = label.shape
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))
    # Only the ids that occur: two classes need 2 bits a pixel and a palette of 9 bytes.
    ids, places = np.unique(small, return_inverse=True)
    picture = Image.fromarray(places.reshape(small.shape).astype(np.uint8), mode="P")
    colours = [_IGNORED_COLOUR if one == IGNORED else tuple(_PALETTE[one]) for one in ids]
    picture.putpalette([int(channel) for colour in colours for channel in colour])
    alphas = {0: 0, IGNORED: _IGNORED_ALPHA}
    return _address(picture, transparency=bytes(alphas.get(int(one), 255) for one in ids))


def _check(layer: NDArray[np.generic]) -> None:
    if layer.ndim != 2 or 0 in layer.shape:
        raise ConfigError(f"layer: expected a map or label map (h, w), got {layer.shape}")


def _address(picture: Image.Image, **options: bytes) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True, **options)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
