"""Writing a PNG so that a reader finds the old file or the new one, never half of one."""

import secrets
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from oaa_pl.errors import OutputError

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
    # Two processes may write one path at once, so the temporary name is nobody else's.
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            image.save(part, format="PNG", pnginfo=text)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}' ({error.strerror or error}); "
            f"check that the folder is writable and the disk is not full"
        ) from error
