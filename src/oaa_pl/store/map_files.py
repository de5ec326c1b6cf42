"""The maps of one image in files, in any of the formats of `store.exchange`.

Shapes: h x w cells of a map.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.errors import StoreError
from oaa_pl.store.archives import Found, read_npy, read_npz

__all__ = ["png_bytes", "read_maps", "require_number"]


def read_maps(folder: Path, name: str, categories: Sequence[int]) -> list[Found]:
    """The maps of one image, in any of the formats.

    Args:
        folder: of the maps.
        name: the image's id.
        categories: classes that it may have maps of.

    Raises:
        StoreError: if a file is not such a map, or is of another class, or there are files in two
            of the formats.
    """
    greys = [(c, folder / f"{name}_{c}.png") for c in categories]
    greys = [(c, path) for c, path in greys if path.is_file()]
    readers = ((".npz", read_npz), (".npy", read_npy))
    whole = [(folder / f"{name}{suffix}", read) for suffix, read in readers]
    whole = [(path, read) for path, read in whole if path.is_file()]
    files = [path.name for path in (*(path for _, path in greys[:1]), *(path for path, _ in whole))]
    if len(files) > 1:
        raise StoreError(
            f"{folder} has maps of image {name!r} twice ({', '.join(files)}): which ones are "
            "meant? Put each format into a folder of its own"
        )
    if whole:
        [(path, read)] = whole
        return read(path, categories)
    return [Found(c, _read_png(path)) for c, path in greys]


def require_number(path: Path, number: str) -> None:
    """Refuse a class number that this package would not write, and so would not find.

    Args:
        path: of the map, for the message.
        number: digits behind the image's id.

    Raises:
        StoreError: if it begins with a zero.
    """
    if number != str(int(number)):
        raise StoreError(
            f"{path}: write its class as {int(number)}, without zeros before it: the map would not "
            "be found"
        )


def png_bytes(attention: NDArray[np.float32]) -> bytes:
    """One map, (h, w) in [0, 1], as an 8-bit grey PNG: 255 is 1."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(attention * 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _read_png(path: Path) -> NDArray[np.float32]:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            mode, grey = image.mode, np.asarray(image)
    except Exception as error:  # as Pillow's many plug-ins and libraries please
        raise StoreError(f"{path} is not a readable PNG ({error}); export it again") from error
    if mode != "L":
        raise StoreError(f"{path} must be 8-bit grey (mode L), is of mode {mode}; convert it")
    return grey.astype(np.float32) / np.float32(255)
