"""Image files as people and programs make them, and break them, for tests and the fuzz."""

import io
import struct

import numpy as np
from PIL import Image

FORMATS = {
    "JPEG": ("1", "L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
    "WEBP": ("L", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "GIF": ("1", "L", "P", "RGB"),
}
"""Modes that Pillow writes, by format."""

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    'tiff:Orientation="{}"/></rdf:RDF></x:xmpmeta>'
)

Tag = tuple[int, int, int, bytes]
"""Number, type, count and the four bytes that hold the value or its place."""


def photo(size: tuple[int, int] = (20, 30), seed: int = 0) -> np.ndarray:
    """A quarter of each colour, so that every turn shows: (H, W, 3) uint8."""
    height, width = size
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (200, 40, 40)
    picture[: height // 2, width // 2 :] = (40, 200, 40)
    picture[height // 2 :, : width // 2] = (40, 40, 200)
    picture[height // 2 :, width // 2 :] = 128 + seed % 100
    return picture


def picture(mode: str, size: tuple[int, int], seed: int = 0) -> Image.Image:
    """The same in any mode."""
    rgb = photo(size, seed)
    gray = rgb.mean(axis=2)
    if mode == "I;16":
        return Image.fromarray((gray * (16 if seed % 2 else 257)).astype(np.uint16))
    if mode == "I":
        return Image.fromarray((gray * 4000 - seed).astype(np.int32))
    if mode == "F":
        return Image.fromarray((gray / 255 + seed).astype(np.float32))
    return Image.fromarray(rgb).convert(mode)


def exif_block(tags: list[Tag], order: str = "<", declared: int | None = None) -> bytes:
    """EXIF with just these tags in its first directory, sound or not."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    count = len(tags) if declared is None else declared
    body = b"".join(struct.pack(f"{order}HHL", *tag[:3]) + tag[3] for tag in tags)
    return head + struct.pack(f"{order}LH", 8, count) + body + b"\0\0\0\0"


def orientation_tag(value: int, order: str = "<") -> Tag:
    return (274, 3, 1, struct.pack(f"{order}HH", value, 0))


def as_bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    import zlib

    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def with_late_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with a chunk behind its pixels, where some programs put what they add."""
    end = png.rindex(b"IEND") - 4
    return png[:end] + png_chunk(kind, data) + png[end:]
