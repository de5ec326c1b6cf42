"""Rows of pictures: one image through all the methods, and one map growing over the epochs.

The page shows them from disk without any other file; `save_contact_sheet` makes the same grid one
small picture, which can be committed beside the numbers.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from oaa_pl.errors import ConfigError, OutputError
from oaa_pl.files.atomic import write_whole
from oaa_pl.report.pictures import Picture, shrink

__all__ = ["PANELS", "GridRow", "GrowthStrip", "panel_names", "save_contact_sheet"]

PANELS = (
    "photo", "CAM", "mean", "max", "OAA", "OAA+", "OAA+ pooled", "OAA+ MCE", "proxy", "prediction",
    "truth",
)  # fmt: skip
"""Names of the panels, in the order in which they stand."""

_CELLS = (144, 128, 112, 96, 80, 64, 48)
_GAP, _HEAD, _CAPTION = 4, 22, 22
_INK, _PAPER = (40, 40, 44), (255, 255, 255)


@dataclass(frozen=True, slots=True)
class GridRow:
    """One image through all the methods.

    Attributes:
        image_id: any text; escaped where it is shown.
        tags: class names of the image's tags.
        panels: name -> RGB picture (H, W, 3) uint8; those of `PANELS` first, others after them;
            a panel that does not exist (no mask: no `truth`) is simply left out.
    """

    image_id: str
    tags: Sequence[str]
    panels: Mapping[str, Picture]


@dataclass(frozen=True, slots=True)
class GrowthStrip:
    """One image's cumulative map of one class, over the epochs of a training.

    Attributes:
        image_id: any text.
        class_name: class whose map is shown.
        photo: RGB, (H, W, 3) uint8.
        frames: (epoch, picture of the map after that epoch), epochs ascending.
        caption: what was measured on the maps; see `growth_caption`.
    """

    image_id: str
    class_name: str
    photo: Picture
    frames: Sequence[tuple[int, Picture]]
    caption: str = ""


def panel_names(rows: Sequence[GridRow]) -> tuple[str, ...]:
    """Names of the panels that any row has: those of `PANELS` first, then others as they come."""
    present = dict.fromkeys(name for row in rows for name in row.panels)
    known = tuple(name for name in PANELS if name in present)
    return known + tuple(name for name in present if name not in PANELS)


def save_contact_sheet(path: Path, rows: Sequence[GridRow], max_bytes: int = 200_000) -> None:
    """Save the grid as one picture, as large as the limit on its bytes allows.

    Args:
        path: `.png` (colours reduced to a palette) or `.jpg`; appears whole or not at all.
        rows: one or more images.
        max_bytes: upper limit of the file's size.

    Raises:
        ConfigError: if there is no row, or the file's ending is another one.
        OutputError: if it cannot be written, or not even the smallest grid fits the limit.
    """
    if not rows:
        raise ConfigError("rows: expected one image or more for a contact sheet, got none")
    if path.suffix not in {".png", ".jpg"}:
        raise ConfigError(f"path: expected a name in .png or .jpg, got {path.name}")
    for cell in _CELLS:
        sheet = _draw(rows, cell)
        for step in (90, 82, 74) if path.suffix == ".jpg" else (256, 160):
            stream = io.BytesIO()
            if path.suffix == ".jpg":
                sheet.save(stream, "JPEG", quality=step, optimize=True)
            else:
                sheet.quantize(step, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
            if stream.tell() <= max_bytes:
                write_whole(path, stream.getvalue())
                return
    raise OutputError(
        f"{path}: {len(rows)} images do not fit {max_bytes} bytes; show fewer or raise max_bytes"
    )


def _draw(rows: Sequence[GridRow], cell: int) -> Image.Image:
    names = panel_names(rows)
    font, small = (ImageFont.load_default(size) for size in ((12, 11) if cell >= 96 else (10, 9)))
    pictures = [{name: shrink(row.panels[name], cell) for name in row.panels} for row in rows]
    # A row is as high as its highest picture: landscape photos leave no empty band.
    heights = [max((one.height for one in row.values()), default=0) for row in pictures]
    width = _GAP + len(names) * (cell + _GAP)
    sheet = Image.new("RGB", (width, _HEAD + sum(heights) + len(rows) * _CAPTION), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, name in enumerate(names):
        place = _GAP + column * (cell + _GAP)
        pen.text((place + cell // 2, _HEAD // 2), _one_line(name), _INK, font, anchor="mm")
    top = _HEAD
    for row, shown, height in zip(rows, pictures, heights, strict=True):
        for column, name in enumerate(names):
            if name in shown:
                left = _GAP + column * (cell + _GAP) + (cell - shown[name].width) // 2
                sheet.paste(shown[name], (left, top + (height - shown[name].height) // 2))
        caption = _one_line(f"{row.image_id}   {', '.join(row.tags)}")
        pen.text((_GAP, top + height + 8), caption, _INK, small, anchor="lm")
        top += height + _CAPTION
    return sheet


def _one_line(text: str) -> str:
    """Text without line breaks, which the `lm` anchor cannot place, and not beyond reason."""
    flat = " ".join(text.split())
    return flat if len(flat) <= 120 else flat[:119] + "…"
