"""Photos and masks as arrays; a file that cannot be read is a named error with its path.

Shapes: photos (H, W, 3) uint8 RGB, masks (H, W) uint8: 0 background, c + 1 class c, 255 ignored.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.data.masks import check_mask, read_mask
from oaa_pl.data.photo_files import PHOTO_SUFFIXES, find_photo, image_id, list_photos
from oaa_pl.data.tones import to_eight_bits
from oaa_pl.errors import BadImageError, OaaError
from oaa_pl.files import unreadable
from oaa_pl.files.image import load_upright, read_header

__all__ = [
    "PHOTO_SUFFIXES",
    "as_rgb",
    "check_mask",
    "find_photo",
    "image_id",
    "list_photos",
    "photo_size",
    "read_mask",
    "read_photo",
]


def photo_size(path: Path) -> tuple[int, int]:
    """The upright size of a photo from its header alone, so that 10,000 are checked in seconds.

    Args:
        path: an image file.

    Returns:
        (H, W) in pixels, after the orientation: the size of what `read_photo` returns.

    Raises:
        MissingImageError: if there is no such file.
        BadImageError: if it is empty or its header is of no known format.
    """
    return read_header(path).size


def read_photo(path: Path) -> NDArray[np.uint8]:
    """A photo as upright RGB, whatever its file holds.

    Gray, palette and CMYK files are converted, samples of more than 8 bits brought to 8 (see
    `oaa_pl.data.tones`), transparent pixels become white, and the orientation is applied.

    Args:
        path: an image file; the first frame of an animation, the first page of a document.

    Returns:
        (H, W, 3) uint8 RGB, writable.

    Raises:
        MissingImageError: if there is no such file.
        BadImageError: if it is empty, truncated, too large or of no known format.
    """
    loaded = load_upright(path)
    try:
        image = to_eight_bits(loaded, path) if loaded.header.deep else loaded.image
        return np.array(as_rgb(image))
    except OaaError:
        raise
    except unreadable.IMAGE as error:  # a palette or a profile that does not fit the pixels
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadImageError(
            f"{path} cannot be shown as RGB ({reason}): save it again or take it off the list"
        ) from error


def as_rgb(image: Image.Image) -> Image.Image:
    """An image of at most 8 bits a channel as RGB; transparent pixels become white.

    Args:
        image: of any mode of Pillow's.
    """
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        # What lies under transparent pixels is arbitrary: nobody was meant to see it.
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(white, opaque).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
