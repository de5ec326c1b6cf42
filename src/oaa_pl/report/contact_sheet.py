"""A contact sheet: small photos with their tags, and true masks beside them where there are some.

Shapes: photos (h, w, 3) uint8 RGB, masks (h, w) uint8: 0 background, c + 1 class c, 255 ignored.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from oaa_pl.data.check import Sample
from oaa_pl.errors import ConfigError
from oaa_pl.report.pictures import label_overlay

__all__ = ["contact_sheet", "jpeg"]

_CELL = 196  # pixels: a sample's picture and a margin
_LINE = 15  # pixels of a line of text
_MARGIN = 6
_COLUMNS = 6  # pictures side by side

# Pillow's own font knows few letters; this one comes with matplotlib.
_FONT = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"


def contact_sheet(samples: Sequence[Sample]) -> Image.Image:
    """Lay photos out in a grid, each above its name and its tags.

    Args:
        samples: one or more; those with a mask show the photo and, beside it, the mask over it.

    Returns:
        RGB.

    Raises:
        ConfigError: if there is no sample.
    """
    if not samples:
        raise ConfigError("contact sheet: expected one photo or more, got none")
    masks = any(sample.mask is not None for sample in samples)
    width = _CELL * (2 if masks else 1)
    across = min(len(samples), _COLUMNS // 2 if masks else _COLUMNS)
    height = _CELL + 2 * _LINE + _MARGIN
    down = -(-len(samples) // across)
    sheet = Image.new("RGB", (across * width + _MARGIN, down * height + _MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(_FONT, 11)
    for place, sample in enumerate(samples):
        left = _MARGIN + place % across * width
        top = _MARGIN + place // across * height
        sheet.paste(Image.fromarray(sample.photo), (left, top))
        if sample.mask is not None:
            over = label_overlay(sample.photo, sample.mask)
            sheet.paste(Image.fromarray(over), (left + _CELL, top))
        for line, text in enumerate((sample.name, ", ".join(sample.tags) or "no tag")):
            shown = _fitting(text, font, width - _MARGIN)
            draw.text((left, top + _CELL - _MARGIN + line * _LINE), shown, fill="black", font=font)
    return sheet


def jpeg(picture: Image.Image) -> bytes:
    """A picture as the bytes of a JPEG file."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=88)
    return content.getvalue()


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text on one line, its end cut off where it is too long."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
