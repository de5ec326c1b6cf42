"""Open image files: size, orientation, pixels.

Photos, masks, saliency maps and labels are all opened here, so that each is turned the same way.

Shapes: H x W pixels of the image as it is shown.
"""

import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from oaa_pl.errors import BadImageError, MissingImageError, OaaError
from oaa_pl.files import unreadable
from oaa_pl.files.orientation import (
    SIDEWAYS,
    UPRIGHT,
    orientation_of,
    stored_size,
    turned_by_pillow,
)

__all__ = ["Header", "Loaded", "is_there", "load_upright", "opened", "read_header"]

# Formats with a signature that Pillow decodes itself. The others run another program (EPS), have no
# pixels of their own, or accept any bytes as a picture.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "MPO", "JPEG2000", "AVIF", "PPM")


class Header(NamedTuple):
    """The facts about an image that its header gives.

    Attributes:
        size: pixels (H, W) of the image as it is shown.
        stored: pixels (H, W) as they are in the file, before the orientation is applied.
        format: of the file's content, as Pillow calls it: "JPEG", "PNG", ...
        orientation: by its EXIF or XMP, 1 to 8; 1: no rotation or flip.
        deep: whether the samples have more than 8 bits.
    """

    size: tuple[int, int]
    stored: tuple[int, int]
    format: str
    orientation: int
    deep: bool


def is_there(path: Path) -> bool:
    """Whether a path is a file; False for a name that the disk cannot have."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than the disk allows, or with a NUL
        return False


def read_header(path: Path) -> Header:
    """Size and kind of an image from its header alone: 0.3 ms.

    Args:
        path: the image's file.

    Raises:
        MissingImageError: if there is no such file.
        BadImageError: if it is empty, not a regular file, too large, or its header is of no known
            format.
    """
    with opened(path) as image:
        return _header(image, path)


class Loaded(NamedTuple):
    """An image with its pixels.

    Attributes:
        image: as it is shown, in the mode of its file.
        header: what its header says.
        raw_mode: how samples are packed, as Pillow's decoders call it: "L;4", "RGB;16B".
    """

    image: Image.Image
    header: Header
    raw_mode: str


def load_upright(path: Path) -> Loaded:
    """An image's pixels as it is shown; the first frame of an animation, the first of many pages.

    Args:
        path: the image's file.

    Raises:
        MissingImageError: if there is no such file.
        BadImageError: if it cannot be read, or has another size than its header says.
    """
    with opened(path) as image:
        raw_mode = _raw_mode(image)
        header = _header(image, path)
        turn = None if turned_by_pillow(image) else header.orientation
        image.load()
        upright = image.transpose(UPRIGHT[turn]) if turn in UPRIGHT else image
        if (upright.height, upright.width) != header.size:
            raise BadImageError(
                f"{path} has {upright.width} x {upright.height} px but its header says "
                f"{header.size[1]} x {header.size[0]}: save it again or take it off the list"
            )
        return Loaded(upright, header, raw_mode)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open an image without reading its pixels; errors in the block become named errors.

    Args:
        path: the image's file.

    Raises:
        MissingImageError: if there is no such file.
        BadImageError: if reading fails here or in the block.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
            raise BadImageError(f"{path} is not a regular file: replace it or take it off the list")
        if status.st_size == 0:
            raise BadImageError(f"{path} is empty (0 bytes): replace it or take it off the list")
        with _quiet(), Image.open(path, formats=_known()) as image:
            yield image
    except FileNotFoundError:
        raise MissingImageError(f"{path} does not exist: add it or take it off the list") from None
    except OaaError:
        raise
    except Image.DecompressionBombError as error:
        raise BadImageError(
            f"{path} is too large ({_reason(error)}): scale it down below that limit"
        ) from error
    except unreadable.IMAGE as error:
        raise BadImageError(
            f"{path} is not a readable image ({_reason(error)}): replace it or take it off the list"
        ) from error


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _known() -> list[str]:
    """The formats that this version of Pillow can open."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _header(image: Image.Image, path: Path) -> Header:
    deep = image.mode[0] in "IF" or ";16" in _raw_mode(image)  # not known once pixels are read
    height, width = stored = stored_size(image)
    orientation = orientation_of(image, path)
    size = (width, height) if orientation in SIDEWAYS else stored
    return Header(size, stored, image.format or "", orientation, deep)


def _raw_mode(image: Image.Image) -> str:
    tile = getattr(image, "tile", None)  # of files, until their pixels are read
    arguments = tile[0].args if tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


_lock = threading.Lock()
_reading: list["warnings.catch_warnings[None]"] = []


@contextmanager
def _quiet() -> Iterator[None]:
    """Ignore Pillow's warnings about odd tags and large photos, in any number of threads."""
    with _lock:
        # `catch_warnings` is not safe in threads: the first thread sets the filters, the last one
        # restores them.
        guard = _reading[0] if _reading else warnings.catch_warnings()
        if not _reading:
            guard.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\b")
        _reading.append(guard)
    try:
        yield
    finally:
        with _lock:
            _reading.pop()
            if not _reading:
                guard.__exit__(None, None, None)
