"""Writing a PNG, with notes in it, so that a reader finds the old file or the new one whole."""

import io
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from oaa_pl.files.atomic import write_whole

__all__ = ["save_png"]


def save_png(path: Path, image: Image.Image, notes: dict[str, str] | None = None) -> None:
    """Write `image` to `path` in one step, making the folder if needed.

    Args:
        path: where to; an old file is replaced.
        image: of any mode that PNG holds.
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
