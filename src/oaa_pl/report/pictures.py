"""Pictures of attention maps and label maps over their photo, and their way into a page.

Shapes: H x W pixels of the photo, h x w cells of a map.
"""

import base64
import io

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.errors import ConfigError
from oaa_pl.ids import IGNORED
from oaa_pl.proxy.palette import voc_palette

__all__ = [
    "HEAT_STOPS", "Picture", "data_uri", "heat_overlay", "heat_tables", "label_overlay", "shrink",
]  # fmt: skip

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""

_PALETTE = voc_palette()
_BAND = 2**20  # pixels
_HEAT = colormaps["inferno"]
HEAT_STOPS = tuple(
    "#{:02x}{:02x}{:02x}".format(*(round(255 * channel) for channel in _HEAT(place / 8)[:3]))
    for place in range(9)
)
"""CSS colours of attention 0, 1/8, ..., 1, for a legend."""


def heat_tables() -> tuple[str, str, str]:
    """Red, green and blue of attention 0, 1/16, ..., 1, as an SVG filter's `tableValues`."""
    stops = [_HEAT(place / 16)[:3] for place in range(17)]
    red, green, blue = (
        " ".join(f"{value:.3f}" for value in one) for one in zip(*stops, strict=True)
    )
    return red, green, blue


def heat_overlay(
    photo: Picture, attention: NDArray[np.floating], strength: float = 0.62
) -> Picture:
    """Lay an attention map over its photo, in a map of even perceptual steps (inferno).

    The photo loses its colour first, so that every hue in the picture means attention.

    Args:
        photo: RGB, (H, W, 3).
        attention: in [0, 1], (h, w), stretched to the photo; NaN counts as 0.
        strength: share of the colour against the photo, in [0, 1].

    Returns:
        RGB, (H, W, 3).

    Raises:
        ConfigError: if a shape is another one.
    """
    _check(photo, attention)
    size = (photo.shape[1], photo.shape[0])
    heat = np.clip(np.nan_to_num(attention.astype(np.float32)), 0.0, 1.0)
    heat = np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR))
    colour = _HEAT(heat)[..., :3] * 255.0
    return _to_bytes((1.0 - strength) * _luma(photo)[..., None] + strength * colour)


def label_overlay(photo: Picture, label: Picture) -> Picture:
    """Lay a label map over its photo: VOC's colours with a light outline, ignored pixels hatched.

    Args:
        photo: RGB, (H, W, 3).
        label: ids, 0 background, c + 1 class c, 255 ignored, (h, w) uint8; stretched to the photo
            by nearest neighbour.

    Returns:
        RGB, (H, W, 3).

    Raises:
        ConfigError: if a shape is another one.
    """
    _check(photo, label)
    height, width = photo.shape[:2]
    resized = Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST)
    ids = np.asarray(resized)
    out = np.empty_like(photo)
    # In bands of rows: a photo of 48 megapixels would take 2 GB of numbers in between.
    rows = max(1, _BAND // width)
    for first in range(0, height, rows):
        out[first : first + rows] = _overlay_rows(photo, ids, slice(first, first + rows))
    return out


def _overlay_rows(photo: Picture, ids: Picture, rows: slice) -> Picture:
    """Some rows of a label map's overlay."""
    height, width = photo.shape[:2]
    above, photo, ids = ids[max(0, rows.start - 1) : rows.start], photo[rows], ids[rows]
    # How much of the photo's grey is left under each id, and what is added to it.
    kept = np.full(256, 0.3, np.float32)
    kept[0], kept[IGNORED] = 0.55, 0.25
    added = 0.7 * _PALETTE.astype(np.float32)
    added[[0, IGNORED]] = 0
    out = (kept[ids] * _luma(photo))[..., None] + added[ids]
    if (ignored := ids == IGNORED).any():
        down, across = np.ogrid[rows.start : rows.start + len(ids), :width]
        # Stripes as wide as a fiftieth of the picture survive the page's downscaling.
        period = max(4, (height + width) // 50)
        stripes = np.where((across + down) % period < period // 2, 205.0, 120.0)
        out[ignored] += 0.75 * stripes[ignored, None].astype(np.float32)
    edge = np.zeros(ids.shape, dtype=bool)
    edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    edge[1:, :] |= ids[1:, :] != ids[:-1, :]
    edge[: len(above)] |= ids[: len(above)] != above
    out[edge] = 250.0
    return _to_bytes(out)


def shrink(picture: Picture, side: int) -> Image.Image:
    """Scale a picture down until its long side is at most `side` pixels; never up.

    Args:
        picture: RGB, (H, W, 3) uint8.
        side: pixels, 1 or more.

    Raises:
        ConfigError: if the picture is not (H, W, 3) uint8.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ConfigError(
            f"picture: expected (H, W, 3) uint8 RGB, got {picture.shape} {picture.dtype}"
        )
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def data_uri(picture: Picture, side: int, quality: int = 84) -> str:
    """Encode a picture as a JPEG `data:` address, so that a page needs no file beside it.

    Args:
        picture: RGB, (H, W, 3) uint8.
        side: pixels of the long side at most.
        quality: of the JPEG, 1 to 95.

    Raises:
        ConfigError: if the picture is not (H, W, 3) uint8.
    """
    stream = io.BytesIO()
    shrink(picture, side).save(stream, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _check(photo: Picture, overlay: NDArray[np.generic]) -> None:
    if photo.ndim != 3 or photo.shape[2] != 3 or overlay.ndim != 2 or 0 in overlay.shape:
        raise ConfigError(
            "overlay: expected a photo (H, W, 3) and a map (h, w), got "
            f"{photo.shape} and {overlay.shape}"
        )


def _luma(photo: Picture) -> NDArray[np.float32]:
    """Luma (Rec. 601), (H, W) in [0, 255]."""
    return np.asarray(Image.fromarray(photo).convert("L"), np.float32)


def _to_bytes(values: NDArray[np.floating]) -> Picture:
    np.rint(values, out=values)
    np.clip(values, 0, 255, out=values)
    picture: Picture = values.astype(np.uint8)
    return picture
