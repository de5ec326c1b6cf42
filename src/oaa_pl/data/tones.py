"""Convert samples of more than 8 bits to 8 bits.

A photo that uses the upper half of 16 bits loses its lower 8 bits. Any other (12 bits stored in 16,
floating point) would become black or white, so it is scaled by its own range.

Shapes: H x W pixels of a photo.
"""

import logging
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.errors import BadImageError
from oaa_pl.files.image import Loaded
from oaa_pl.files.orientation import UPRIGHT

__all__ = ["say_scaled", "scaled", "to_eight_bits"]

log = logging.getLogger(__name__)


@cache  # every stage opens its data set again
def say_scaled(where: str, deep: int, photos: int, first: Path) -> None:
    """Warn once that photos of a data set are scaled.

    Args:
        where: name of the data set.
        deep: number of photos with more than 8 bits.
        photos: number of all photos.
        first: the first photo with more than 8 bits.
    """
    log.warning(
        "%s: %d of %d photos have more than 8 bits a sample, such as %s; each that does not use "
        "the upper half of 16 bits is scaled by its own range, so brightness cannot be compared "
        "between them", where, deep, photos, first,
    )  # fmt: skip


def to_eight_bits(loaded: Loaded, path: Path) -> Image.Image:
    """Convert a photo with more than 8 bits per sample to 8 bits.

    Args:
        loaded: the photo from `oaa_pl.files.image.load_upright`.
        path: its file. Pillow drops the lower bits of colours, so they are read again.

    Returns:
        Gray (mode L), or colour in Pillow's mode.

    Raises:
        BadImageError: if no sample is a finite number.
    """
    image = loaded.image
    if image.mode[0] in "IF":
        return Image.fromarray(scaled(np.asarray(image), path))
    upper = np.array(image)
    colours = 3 if image.mode.startswith("RGB") else 1
    if upper.ndim < 3 or upper[..., :colours].max(initial=0) >= 128:
        return image
    lower = _all_bits(loaded, path)
    upper[..., :colours] = scaled(upper[..., :colours], path) if lower is None else lower
    return Image.fromarray(upper)


def scaled(samples: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    """Samples as 0..255: the upper 8 of 16 bits, or scaled from the smallest to the largest.

    Args:
        samples: of one photo, any numbers, (H, W) or (H, W, 3).
        path: the photo's file, for the message.

    Returns:
        The same shape. NaN becomes 0, infinity becomes 0 or 255.

    Raises:
        BadImageError: if no sample is a finite number.
    """
    finite = samples[np.isfinite(samples)]
    if not finite.size:
        raise BadImageError(
            f"{path} has no finite number among its samples: save it again or take it off the list"
        )
    low, high = float(finite.min()), float(finite.max())
    if samples.dtype.kind in "iu" and low >= 0 and 2**15 <= high < 2**16:
        return (samples.astype(np.int32) >> 8).astype(np.uint8)
    if low == high:
        return np.full(samples.shape, 255 if high > 0 else 0, np.uint8)
    share = (samples.astype(np.float64) - low) * (255 / (high - low))
    levels = np.nan_to_num(share, nan=0, posinf=255, neginf=0).clip(0, 255)
    eight: NDArray[np.uint8] = np.rint(levels).astype(np.uint8)
    return eight


def _all_bits(loaded: Loaded, path: Path) -> NDArray[np.uint8] | None:
    """16-bit colours scaled by their range, (H, W, 3) RGB; None if OpenCV cannot read them."""
    header = loaded.header
    if header.orientation != 1 and header.format != "PNG":
        return None  # OpenCV may have turned it, or may not
    samples = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if (
        samples is None
        or samples.dtype != np.uint16
        or samples.ndim != 3
        or samples.shape[2] < 3
        or samples.shape[:2] != header.stored
    ):
        return None
    eight = Image.fromarray(np.ascontiguousarray(scaled(samples[..., 2::-1], path)))
    turn = UPRIGHT.get(header.orientation)
    return np.asarray(eight if turn is None else eight.transpose(turn))
