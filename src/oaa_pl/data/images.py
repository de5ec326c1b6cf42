"""Read photos and masks as arrays, or raise a named error with the path.

Shapes: photos (H, W, 3) uint8 RGB, masks (H, W) uint8: 0 background, c + 1 class c, 255 ignored.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.data.masks import check_mask, read_mask
from oaa_pl.data.photo_files import PHOTO_SUFFIXES, find_photo, image_id, list_photos
from oaa_pl.data.tones import to_eight_bits
from oaa_pl.errors import BadImageError, MissingImageError, OaaError
from oaa_pl.files import unreadable
from oaa_pl.files.image import load_upright, read_header

__all__ = [
    "PHOTO_SUFFIXES",
    "PhotoSizes",
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
    """The upright size of a photo, from its header: fast enough for 10,000 photos.

    Args:
        path: an image file.

    Returns:
        (H, W) in pixels of the upright photo, as `read_photo` returns it.

    Raises:
        MissingImageError: if there is no such file.
        BadImageError: if it is empty or in an unknown format.
    """
    return read_header(path).size


class PhotoSizes:
    """Image id to the upright size (H, W) of its photo, from its header.

    Args:
        folder: of the photos, and of folders with photos.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        photos = list_photos(folder)
        self._paths = {image_id(str(path.relative_to(folder))): path for path in photos}

    def __call__(self, name: str) -> tuple[int, int]:
        """The size of one photo.

        Raises:
            MissingImageError: if the folder has no photo of this id.
            BadImageError: if it is empty or in an unknown format.
        """
        if name not in self._paths:
            raise MissingImageError(
                f"photos={self._folder} has no photo of the image {name!r}: give the folder of the "
                "photos"
            )
        return photo_size(self._paths[name])


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Read a photo as upright RGB, from any mode.

    Convert gray, palette and CMYK, scale samples of more than 8 bits to 8 (see
    `oaa_pl.data.tones`), make transparent pixels white, and apply the orientation.

    Args:
        path: an image file; the first frame of an animation, the first page of a document.

    Returns:
        (H, W, 3) uint8 RGB, writable.

    Raises:
        MissingImageError: if there is no such file.
        BadImageError: if it is empty, truncated, too large or in an unknown format.
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
        # The colours of transparent pixels are arbitrary.
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(white, opaque).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
