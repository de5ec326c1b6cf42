"""Read saliency maps from files, and refuse unsuitable ones with a named error.

Shapes: saliency (H, W) float32 in [0, 1], 1 for an object; H x W pixels of the photo.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import BadImageError, BadMaskError, MissingImageError
from oaa_pl.files.image import Header, load_upright

__all__ = ["check_size", "read_saliency", "refuse_turned"]


def read_saliency(path: Path) -> NDArray[np.float32]:
    """Gray levels of an image file as shares of white.

    Args:
        path: of a map with 8 or 16 bits, gray or three equal channels, or floating point.

    Returns:
        (H, W) float32 in [0, 1].

    Raises:
        BadMaskError: if it cannot be read, has colours or values out of range, or has an
            orientation tag.
    """
    try:
        image, header, _ = load_upright(path)
    except (MissingImageError, BadImageError) as error:
        raise BadMaskError(
            f"saliency map '{path}' cannot be read as an image ({error}); make it again"
        ) from error
    refuse_turned(header, path)
    if image.mode.startswith(("I", "F")):
        # 16-bit integers, or floating point in [0, 1].
        white = 1 if image.mode == "F" else 65535
        levels = np.asarray(image, dtype=np.float32)
        if not (levels.min() >= 0 and levels.max() <= white):  # this refuses NaN too
            raise BadMaskError(
                f"saliency map '{path}' (mode {image.mode}) must hold 0 to {white}, got "
                f"{levels.min():g} to {levels.max():g}; save it so, or as 8-bit gray"
            )
        return levels / np.float32(white)
    image.info.pop("transparency", None)  # not needed, and Pillow would warn about it
    # Many tools save gray as three equal channels: accept that, but no colours.
    colours = np.asarray(image.convert("RGB"))
    if (colours != colours[..., :1]).any():
        raise BadMaskError(
            f"saliency map '{path}' must be grayscale, got a colour picture (mode {image.mode}); "
            f"white is an object, black is background"
        )
    return colours[..., 0].astype(np.float32) / np.float32(255)


def refuse_turned(header: Header, path: Path) -> None:
    """Refuse a map with an orientation tag, because many tools ignore the tag.

    Args:
        header: of the map.
        path: its file, for the message.

    Raises:
        BadMaskError: if it has one.
    """
    if header.orientation != 1:
        raise BadMaskError(
            f"saliency map '{path}' has an orientation tag of its own; turn its pixels as the "
            f"photo is shown, and save it without the tag"
        )


def check_size(found: tuple[int, ...], path: Path, size: tuple[int, ...]) -> None:
    """Refuse a map of another size than its photo.

    Args:
        found: (H, W) of the map.
        path: its file, for the message.
        size: (H, W) of the photo, as it is shown.

    Raises:
        BadMaskError: if they differ.
    """
    if found != size:
        turned = found == size[::-1]
        what = "turned as the photo is shown" if turned else "at the photo's size"
        raise BadMaskError(
            f"saliency map '{path}' is {found} but its photo is {size} (height, width); make it "
            f"{what}"
        )
