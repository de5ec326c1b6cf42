"""Label maps as files: PNGs with the palette of PASCAL VOC.

Source: the palette is that of the PASCAL VOC development kit (`VOClabelcolormap`).

Shapes: a label map is (H, W) uint8, 0 background, 1..C classes, 255 ignored.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.errors import BadImageError, BadMaskError, MissingImageError, MissingMaskError
from oaa_pl.files.image import opened
from oaa_pl.proxy.png import save_png

__all__ = ["load_label", "save_label", "voc_palette"]

_BITS = 8


def voc_palette() -> NDArray[np.uint8]:
    """Colour of every label id.

    Three bits of the id at a time, from the lowest, become one bit each of red, green and blue,
    from the highest. So small ids get very different colours.

    Returns:
        RGB, (256, 3).

    Examples:
        >>> voc_palette()[15].tolist()  # person
        [192, 128, 128]
    """
    palette = np.zeros((256, 3), dtype=np.uint8)
    ids = np.arange(256)
    for bit in range(_BITS):
        for channel in range(3):
            palette[:, channel] |= ((ids >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def save_label(path: Path, label: NDArray[np.uint8]) -> None:
    """Write a label map as a palette PNG, whole or not at all.

    Args:
        path: of the file. An old file is replaced; missing folders are made.
        label: ids, (H, W).

    Raises:
        BadMaskError: if the label is not a two-dimensional uint8 array.
        OutputError: if the file cannot be written.
    """
    if label.ndim != 2 or label.dtype != np.uint8:
        raise BadMaskError(
            f"label for '{path.name}' must be (H, W) uint8, got {label.shape} {label.dtype}; "
            f"use one id per pixel, 255 for ignored"
        )
    image = Image.fromarray(label)
    image.putpalette(voc_palette().tobytes())  # 8-bit gray becomes palette ids, without change
    save_png(path, image)


def load_label(path: Path) -> NDArray[np.uint8]:
    """Read a label map: any 8-bit palette or grayscale image of ids.

    Args:
        path: of the file.

    Returns:
        Ids, (H, W).

    Raises:
        MissingMaskError: if there is no such file.
        BadMaskError: if it cannot be read, or is a colour picture instead of ids.
    """
    try:
        with opened(path) as image:
            if image.mode not in {"P", "L"}:
                raise BadMaskError(
                    f"label '{path}' must be an 8-bit palette or grayscale PNG, got mode "
                    f"{image.mode}; save class ids, not colours"
                )
            return np.array(image, dtype=np.uint8)
    except MissingImageError as error:
        raise MissingMaskError(f"label '{path}' does not exist; make the labels first") from error
    except BadImageError as error:
        raise BadMaskError(
            f"label '{path}' cannot be read as an image ({error}); delete it and make it again"
        ) from error
