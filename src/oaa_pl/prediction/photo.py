"""A photo as people hold one: a file, a Pillow image or an array.

Shapes: photos (H, W, 3) uint8 RGB.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from oaa_pl.data.images import as_rgb, read_photo
from oaa_pl.errors import BadImageError, ShapeError
from oaa_pl.files import unreadable
from oaa_pl.files.home import expanded_path

__all__ = ["photo_of"]


def photo_of(photo: str | os.PathLike[str] | Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photo as an upright RGB array.

    Args:
        photo: an image file, a Pillow image of at most 8 bits a channel, or an array (H, W, 3).

    Returns:
        (H, W, 3) uint8 RGB. The orientation that a camera notes in a file or an image is applied.

    Raises:
        MissingImageError: if there is no such file.
        BadImageError: if the file or the image cannot be read.
        ShapeError: if it is something else, or an array of another shape or type.
    """
    if isinstance(photo, str | os.PathLike):
        return read_photo(Path(expanded_path(os.fspath(photo))))
    if isinstance(photo, Image.Image):
        return _from_pillow(photo)
    if isinstance(photo, np.ndarray):
        return _checked(photo)
    raise ShapeError(
        f"a photo must be a path, a Pillow image or an (H, W, 3) uint8 array, got "
        f"{type(photo).__name__}; give several photos as a list"
    )


def _from_pillow(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode[0] in "IF":
        raise BadImageError(
            f"a Pillow image must have at most 8 bits a channel, got mode {image.mode!r}; give the "
            "file's path instead"
        )
    try:
        return np.array(as_rgb(ImageOps.exif_transpose(image)))
    except unreadable.IMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadImageError(f"a Pillow image cannot be read ({reason}); give another") from error


def _checked(photo: NDArray[Any]) -> NDArray[np.uint8]:
    if photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3 and photo.size:
        return photo
    hint = ""
    if photo.ndim == 4:
        hint = "; give several photos as a list: list(photos)"
    elif photo.ndim == 2:
        hint = "; repeat a gray photo: np.stack([photo] * 3, axis=2)"
    elif photo.ndim == 3 and photo.shape[0] == 3 != photo.shape[2]:
        hint = "; put the channels last: photo.transpose(1, 2, 0)"
    elif photo.dtype != np.uint8:
        hint = "; scale it to 0..255: (photo * 255).round().astype(np.uint8)"
    raise ShapeError(
        f"a photo array must be (H, W, 3) uint8 RGB, got {photo.shape} {photo.dtype}{hint}"
    )
