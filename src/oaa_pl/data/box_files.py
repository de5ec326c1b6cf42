"""True boxes from files: XML of PASCAL VOC or ImageNet, or a CSV.

    a folder    `<image>.xml`, or `<class>/<image>.xml`; <object> with <name> and <bndbox>
    a CSV       `ImageId,PredictionString` with `class x0 y0 x1 y1 ...` (ImageNet on Kaggle); or
                `image,x0,y0,x1,y1` lines, with or without a header (the localisation benchmark)

An image is found by its name without folders and suffix. Boxes are as in the file: ends included.

Shapes: a box is (x0, y0, x1, y1) in pixels.
"""

import csv
import io
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from oaa_pl.data.annotation import annotation_root
from oaa_pl.data.photo_files import image_id
from oaa_pl.errors import BadTagFileError, MissingInputError, OaaError
from oaa_pl.files.text import read_text

__all__ = ["BoxFiles", "NamedBox", "box_faults"]


class NamedBox(NamedTuple):
    """One box.

    Attributes:
        category: its class as written; empty if the file has no classes.
        ends: x0, y0, x1, y1.
        where: file and line, for messages.
    """

    category: str
    ends: tuple[int, int, int, int]
    where: str


class BoxFiles:
    """The boxes of a data set.

    Args:
        path: a folder of XML, or a CSV.

    Raises:
        MissingInputError: if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise MissingInputError(f"boxes {path} do not exist: give a folder of XML, or a CSV")
        self.path = path

    def of(self, photo: Path) -> list[NamedBox]:
        """The boxes of one photo, in the file's order.

        Args:
            photo: its file.

        Raises:
            BadTagFileError: if the photo has no box, or its boxes cannot be read.
        """
        name = image_id(photo.name)
        if not self.path.is_dir():
            found = self.table.get(name, [])
            if not found:
                raise BadTagFileError(f"{self.path} has no box of image {name!r}: add its line")
            return found
        places = (self.path / f"{name}.xml", self.path / photo.parent.name / f"{name}.xml")
        place = next((one for one in places if one.is_file()), None)
        if place is None:
            raise BadTagFileError(f"{places[0]} does not exist, so {name!r} has no box: add it")
        return list(_of_xml(place))

    @cached_property
    def table(self) -> dict[str, list[NamedBox]]:
        """Image to its boxes, of a CSV.

        Raises:
            BadTagFileError: if a line cannot be read.
        """
        found, faults = self.rows
        if faults:
            raise BadTagFileError(faults[0])
        return found

    @cached_property
    def rows(self) -> tuple[dict[str, list[NamedBox]], list[str]]:
        """Image to its boxes, of a CSV, and the faults of lines that cannot be read."""
        found: dict[str, list[NamedBox]] = {}
        faults: list[str] = []
        try:
            text = read_text(self.path, "file of boxes", BadTagFileError)
        except OaaError as error:
            return {}, [str(error)]
        reader = csv.reader(io.StringIO(text, newline=""))
        strings = text.lstrip().lower().startswith("imageid,predictionstring")
        for row in reader:
            where = f"{self.path}:{reader.line_num}"
            if not any(cell.strip() for cell in row) or (
                reader.line_num == 1 and (strings or not _numbers(row[1:5]))
            ):
                continue  # a header
            name = image_id(Path(row[0].strip()).name)
            try:
                boxes = list(_of_string(row, where) if strings else _of_row(row, where))
            except BadTagFileError as error:
                faults.append(str(error))
                found.setdefault(name, [])  # it has a line
                continue
            if strings and found.get(name):
                faults.append(f"{where}: image {name!r} has a line already: keep one")
                continue
            found.setdefault(name, []).extend(boxes)
        return found, faults


def box_faults(boxes: list[NamedBox], size: tuple[int, int]) -> Iterator[str]:
    """Boxes that cannot be of their photo, one line each.

    Args:
        boxes: of one photo.
        size: (H, W) of the photo.
    """
    height, width = size
    for box in boxes:
        x0, y0, x1, y1 = box.ends
        if x1 < x0 or y1 < y0:
            yield (
                f"{box.where}: the box {box.ends} ends before it begins: write x0, y0, x1, y1, "
                "not width and height"
            )
        elif x0 < 0 or y0 < 0 or x1 > width or y1 > height:
            # ImageNet counts from 0 or from 1: an end at the width is allowed.
            yield f"{box.where}: the box {box.ends} leaves its photo of {width} x {height} px"


def _of_xml(path: Path) -> Iterator[NamedBox]:
    root = annotation_root(path)
    objects = root.findall("object")
    if not objects:
        raise BadTagFileError(f"{path}: has no <object>: add its box, or remove the file")
    for element in objects:
        box = element.find("bndbox")
        if box is None:
            raise BadTagFileError(f"{path}: an <object> has no <bndbox>: add it")
        texts = [box.findtext(name) or "" for name in ("xmin", "ymin", "xmax", "ymax")]
        name = (element.findtext("name") or "").strip()
        yield NamedBox(name, _ends(texts, str(path)), str(path))


def _of_string(row: list[str], where: str) -> Iterator[NamedBox]:
    words = row[1].split() if len(row) == 2 else []
    if not words or len(words) % 5:
        raise BadTagFileError(
            f"{where}: expected an image and 'class x0 y0 x1 y1' once or more, got "
            f"{','.join(row)!r}"
        )
    for place in range(0, len(words), 5):
        yield NamedBox(words[place], _ends(words[place + 1 : place + 5], where), where)


def _of_row(row: list[str], where: str) -> Iterator[NamedBox]:
    if len(row) < 5:
        raise BadTagFileError(f"{where}: expected image,x0,y0,x1,y1, got {','.join(row)!r}")
    category = row[5].strip() if len(row) > 5 else ""
    yield NamedBox(category, _ends(row[1:5], where), where)


def _ends(texts: list[str], where: str) -> tuple[int, int, int, int]:
    try:
        x0, y0, x1, y1 = (int(float(text)) for text in texts)
    except (ValueError, OverflowError) as error:
        raise BadTagFileError(f"{where}: a box must be four numbers, got {texts}") from error
    return x0, y0, x1, y1


def _numbers(texts: list[str]) -> bool:
    return len(texts) == 4 and all(text.strip().lstrip("-")[:1].isdecimal() for text in texts)
