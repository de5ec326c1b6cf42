"""The orientation of an image file: how to turn its pixels before showing them.

Source: EXIF 2.32, tag 274 (Orientation), and XMP's `tiff:Orientation`, as Pillow's
`ImageOps.exif_transpose` reads them. Pillow reads all of EXIF, and gives up where another tag is
damaged; here only this tag is read.

Shapes: H x W pixels of an image.
"""

import re
import struct
from pathlib import Path

from PIL import Image, TiffImagePlugin

__all__ = ["SIDEWAYS", "UPRIGHT", "orientation_of", "stored_size", "turned_by_pillow"]

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transpose that undoes each orientation; 1, and any invalid value, needs none."""

SIDEWAYS = (5, 6, 7, 8)
"""Orientations that swap width and height."""

_TAG = 274
_INTEGERS = {3: "H", 4: "L", 8: "h", 9: "l"}  # types of EXIF's values, as `struct` has them
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_NOTES = (b"eXIf", b"iTXt", b"zTXt", b"tEXt")


def orientation_of(image: Image.Image, path: Path) -> int:
    """The orientation by EXIF, else by XMP; 1 where neither has one.

    Args:
        image: opened, its pixels not yet read. A PNG whose metadata comes after its pixels is
            read here.
        path: the image's file.

    Returns:
        1 to 8.
    """
    if turned_by_pillow(image):
        found = image.getexif().get(_TAG)  # what Pillow will turn it by
        return found if isinstance(found, int) and found in UPRIGHT else 1
    if image.format == "PNG" and _has_late_notes(path):
        image.load()
    exif = image.info.get("exif") or _raw_profile(image.info.get("Raw profile type exif"))
    value = _in_exif(exif) if isinstance(exif, bytes) else None
    if value is None:
        value = _in_xmp(image.info.get("XML:com.adobe.xmp") or image.info.get("xmp"))
    return value if value in UPRIGHT else 1


def turned_by_pillow(image: Image.Image) -> bool:
    """Whether Pillow turns this image while reading its pixels, which it does only with TIFF."""
    return isinstance(image, TiffImagePlugin.TiffImageFile)


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Pixels (H, W) as they are in the file.

    Args:
        image: opened, its pixels not yet read.
    """
    # Pillow applies the orientation to a TIFF's size already, by its own tag only.
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_TAG) in SIDEWAYS:
        return image.width, image.height
    return image.height, image.width


def _in_exif(data: bytes) -> int | None:
    """The tag's value in EXIF's first directory; None where it is missing or no whole number."""
    while data.startswith(b"Exif\0\0"):
        data = data[6:]
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}L", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(f"{order}HHL", data, entry)
            if tag == _TAG and kind in _INTEGERS and values == 1:
                return int(struct.unpack_from(f"{order}{_INTEGERS[kind]}", data, entry + 8)[0])
    except struct.error:
        pass  # the directory is cut short
    return None


def _in_xmp(xmp: object) -> int | None:
    """The value in XMP, which Pillow returns as text or as bytes."""
    text = xmp.encode(errors="replace") if isinstance(xmp, str) else xmp
    match = _XMP.search(text) if isinstance(text, bytes) else None
    return int(match[1]) if match else None


def _raw_profile(text: object) -> bytes | None:
    """EXIF as ImageMagick writes it into a PNG: a line `exif`, its length, hexadecimal digits."""
    try:
        return bytes.fromhex("".join(str(text).split("\n")[3:])) if text else None
    except ValueError:
        return None


def _has_late_notes(path: Path) -> bool:
    """Whether a PNG has EXIF or text after its pixels, by the headers of its chunks."""
    pixels = False
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
            if pixels and head[4:] in _NOTES:
                return True
            pixels = pixels or head[4:] == b"IDAT"
            file.seek(int.from_bytes(head[:4]) + 4, 1)
    return False
