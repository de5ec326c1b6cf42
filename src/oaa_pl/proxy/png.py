"""Write a PNG with notes, whole or not at all."""

import io
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from oaa_pl.files.atomic import write_whole

__all__ = ["save_png"]


def save_png(path: Path, image: Image.Image, notes: dict[str, str] | None = None) -> None:
    """Write `image` to `path`. A reader finds the old file or the whole new one.

    Args:
        path: of the file. An old file is replaced; missing folders are made.
        image: of any mode that PNG supports.
        notes: text entries stored beside the pixels.

    Raises:
        OutputError: if the folder or the file cannot be written.
    """
    text = PngInfo()
    for key, value in (notes or {}).items():
        text.add_text(key, value)
    content = io.BytesIO()
    image.save(content, format="PNG", pnginfo=text)
    write_whole(path, content.getvalue())
