"""Photos and masks as arrays; a file that cannot be read is a named error with its path.

Shapes: photos (H, W, 3) uint8 RGB, masks (H, W) uint8: 0 background, c + 1 class c, 255 ignored.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from oaa_pl import unreadable
from oaa_pl.data.photo_files import PHOTO_SUFFIXES, find_photo, image_id, list_photos
from oaa_pl.errors import (
    BadImageError,
    BadMaskError,
    MissingImageError,
    MissingMaskError,
    OaaError,
)
from oaa_pl.ids import IGNORED

__all__ = [
    "PHOTO_SUFFIXES",
    "check_mask",
    "find_photo",
    "image_id",
    "list_photos",
    "photo_size",
    "read_mask",
    "read_photo",
]

_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def photo_size(path: Path) -> tuple[int, int]:
    """The upright size of a photo from its header alone, so that 10,000 are checked in seconds.

    Args:
        path: an image file of any format that Pillow knows.

    Returns:
        (H, W) in pixels, after the EXIF orientation.

    Raises:
        MissingImageError: if there is no such file.
        BadImageError: if it is empty or its header is of no known format.
    """
    with _opened(path) as image:
        width, height = image.size
        # Reading EXIF costs as much as the rest of the header: only where there is some.
        exif = image.getexif() if "exif" in image.info else {}
        sideways = exif.get(ExifTags.Base.Orientation) in _SIDEWAYS
    return (width, height) if sideways else (height, width)


def read_photo(path: Path) -> NDArray[np.uint8]:
    """A photo as upright RGB, whatever its file holds.

    Gray, palette, CMYK and 16-bit files are converted, transparent pixels become white, and the
    EXIF orientation is applied.

    Args:
        path: an image file of any format that Pillow knows; the first frame of an animation.

    Returns:
        (H, W, 3) uint8 RGB, writable.

    Raises:
        MissingImageError: if there is no such file.
        BadImageError: if it is empty, truncated or of no known format.
    """
    with _opened(path) as image:
        return np.array(_to_rgb(ImageOps.exif_transpose(image)))


def read_mask(path: Path) -> NDArray[np.uint8]:
    """A mask's class ids: the palette indices of a palette PNG, the values of a gray one.

    Args:
        path: a PNG file.

    Returns:
        (H, W) uint8; which ids are allowed and which size is right is `check_mask`'s to say.

    Raises:
        MissingMaskError: if there is no such file.
        BadMaskError: if it cannot be read, or holds colours in place of ids.
    """
    try:
        with _opened(path) as image:
            if image.mode not in ("P", "L", "1"):
                raise BadMaskError(
                    f"{path} is a mask of mode {image.mode}, expected class ids in a palette or "
                    "8-bit gray PNG: save the ids, not the colours"
                )
            return np.array(image, dtype=np.uint8)
    except MissingImageError:
        raise MissingMaskError(f"{path} does not exist: only evaluation needs masks") from None
    except BadImageError as error:
        raise BadMaskError(f"mask {error}") from error


def check_mask(
    mask: NDArray[np.uint8], path: Path, num_classes: int, size: tuple[int, int]
) -> None:
    """Refuse a mask that does not belong to its photo or to the classes.

    Args:
        mask: class ids, (H, W).
        path: the mask's file, for the message.
        num_classes: C, the number of foreground classes.
        size: (H, W) of the photo, in pixels.

    Raises:
        BadMaskError: if the size differs, or an id is neither in 0..C nor 255.
    """
    if mask.shape != size:
        raise BadMaskError(
            f"{path} is {mask.shape[1]} x {mask.shape[0]} px but its photo is {size[1]} x "
            f"{size[0]} px: scale the mask (nearest neighbour) to its photo"
        )
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    foreign = [int(i) for i in present if num_classes < i < IGNORED]
    if foreign:
        raise BadMaskError(
            f"{path} has the ids {foreign}, expected 0..{num_classes} (0 = background) or "
            f"{IGNORED} (ignored): correct the mask or the list of classes"
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        # Pillow would cut 16 bits off at 255 and leave a white picture.
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert(
            "RGB"
        )
    if "A" in image.mode or "transparency" in image.info:
        # What lies under transparent pixels is arbitrary: nobody was meant to see it.
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(white, opaque).convert("RGB")
    return image.convert("RGB")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The image, its pixels not yet read; whatever goes wrong then is named just the same."""
    try:
        if path.stat().st_size == 0:
            raise BadImageError(f"{path} is empty (0 bytes): replace it or take it off the list")
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise MissingImageError(f"{path} does not exist: add it or take it off the list") from None
    except OaaError:
        raise
    except unreadable.IMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadImageError(
            f"{path} is no readable image ({reason}): replace it or take it off the list"
        ) from error
