"""True boxes from files: XML of PASCAL VOC or ImageNet, or a CSV.

    a folder    `<image>.xml`, or `<class>/<image>.xml`; <object> with <name> and <bndbox>
    a CSV       `ImageId,PredictionString` with `class x0 y0 x1 y1 ...` (ImageNet on Kaggle); or
                `image,x0,y0,x1,y1` lines, with or without a header (the localisation benchmark's
                `localization.txt`), perhaps with the class behind them

An image is found by its path below the photos' folder, without suffix; or by its name alone, where
no other photo has it. Boxes are as in the file: ends included.

Shapes: a box is (x0, y0, x1, y1) in pixels.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from oaa_pl.data.annotation import annotation_root
from oaa_pl.data.photo_files import image_id
from oaa_pl.errors import BadTagFileError, MissingInputError, OaaError, first_few
from oaa_pl.files.text import read_text
from oaa_pl.names import same_text

__all__ = ["BoxFiles", "BoxTable", "NamedBox", "box_faults"]


class NamedBox(NamedTuple):
    """One box.

    Attributes:
        category: its class as written; empty if the file has no classes.
        ends: x0, y0, x1, y1.
        where: file and line, for messages.
        size: (H, W) of its photo, if the file has it.
    """

    category: str
    ends: tuple[int, int, int, int]
    where: str
    size: tuple[int, int] | None = None


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

    def of(self, photo: Path, image: str = "", alone: bool = True) -> list[NamedBox]:
        """The boxes of one photo, in the file's order.

        Args:
            photo: its file.
            image: its id, which has the folders; empty: its name.
            alone: whether no other photo has its name, so that the name is enough.

        Raises:
            BadTagFileError: if the photo has no box, or its boxes, or any line of a CSV, cannot be
                read.
        """
        if not self.path.is_dir() and self.table.faults:
            raise BadTagFileError(self.table.faults[0])
        return self.find(photo, image, alone)

    def find(self, photo: Path, image: str = "", alone: bool = True) -> list[NamedBox]:
        """As `of`, whatever is wrong with other lines of a CSV; none if only its own is.

        Raises:
            BadTagFileError: if the photo has no box, or its boxes cannot be read.
        """
        name = image_id(photo.name)
        if not self.path.is_dir():
            return self._in_table(image or name, name, alone)
        places = [self.path / folder / f"{name}.xml" for folder in _folders(photo, image)]
        places += [self.path / f"{name}.xml"] if alone else []
        place = next((one for one in places if one.is_file()), None)
        if place is None:
            raise BadTagFileError(f"{places[-1]} does not exist, so {name!r} has no box: add it")
        return list(_of_xml(place))

    def _in_table(self, image: str, name: str, alone: bool) -> list[NamedBox]:
        boxes, named, _ = self.table
        image, name = same_text(image), same_text(name)
        if image in boxes:
            return boxes[image]
        own = named.get(name, []) if alone else []
        if len(own) > 1:
            raise BadTagFileError(
                f"{self.path} has {name!r} in several folders ({first_few(own)}), and none is that "
                f"of image {image!r}: write paths below the photos' folder"
            )
        if not own:
            shown = name if alone else image
            raise BadTagFileError(f"{self.path} has no box of image {shown!r}: add its line")
        return boxes[own[0]]

    @cached_property
    def table(self) -> "BoxTable":
        """The lines of a CSV."""
        return _read_table(self.path)


class BoxTable(NamedTuple):
    """The lines of a CSV of boxes.

    Attributes:
        boxes: image, an id with its folders, to its boxes; none if its line cannot be read.
        named: name without folders to the images that have it.
        faults: of lines that cannot be read.
    """

    boxes: dict[str, list[NamedBox]]
    named: dict[str, list[str]]
    faults: list[str]


def _read_table(path: Path) -> BoxTable:
    table = BoxTable({}, {}, [])
    try:
        text = read_text(path, "file of boxes", BadTagFileError)
    except OaaError as error:
        table.faults.append(str(error))
        return table
    reader = csv.reader(io.StringIO(text, newline=""))
    strings = text.lstrip().lower().startswith("imageid,predictionstring")
    for row in reader:
        where = f"{path}:{reader.line_num}"
        if not any(cell.strip() for cell in row) or (
            reader.line_num == 1 and (strings or not _any_number(row[1:5]))
        ):
            continue  # a header
        place = PurePosixPath(same_text(row[0].strip().replace("\\", "/")))
        image = image_id(str(place))
        if image not in table.boxes:
            table.named.setdefault(image_id(place.name), []).append(image)
        known = table.boxes.setdefault(image, [])  # it has a line, whatever is in it
        try:
            boxes = list(_of_string(row, where) if strings else _of_row(row, where))
        except BadTagFileError as error:
            table.faults.append(str(error))
            continue
        if strings and known:
            table.faults.append(f"{where}: image {image!r} has a line already: keep one")
            continue
        known += boxes
    return table


def box_faults(
    boxes: Sequence[NamedBox], size: tuple[int, int], sized: bool = False
) -> Iterator[str]:
    """Boxes that cannot be of their photo, one line each.

    Args:
        boxes: of one photo.
        size: (H, W) of the photo.
        sized: whether the size in the file, if there is one, must be the photo's.
    """
    height, width = size
    for box in boxes if sized else ():
        if box.size is not None and box.size != size:
            yield (
                f"{box.where}: its boxes are of a photo of {box.size[1]} x {box.size[0]} px, but "
                f"the photo is {width} x {height} px: scale them as the photo was"
            )
            return
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


def _folders(photo: Path, image: str) -> Iterator[Path]:
    """Folders below that of the photos in which a photo may be: all of its id, or the last."""
    parts = photo.parent.parts
    for first in range(len(parts)):
        if image_id(str(Path(*parts[first:], photo.name))) == image:
            yield Path(*parts[first:])
    yield Path(photo.parent.name)


def _of_xml(path: Path) -> Iterator[NamedBox]:
    root = annotation_root(path)
    sides = [root.findtext(f"size/{side}") or "" for side in ("height", "width")]
    size = (int(sides[0]), int(sides[1])) if all(map(str.isdecimal, sides)) else None
    objects = root.findall("object")
    if not objects:
        raise BadTagFileError(f"{path}: has no <object>: add its box, or remove the file")
    for element in objects:
        box = element.find("bndbox")
        if box is None:
            raise BadTagFileError(f"{path}: an <object> has no <bndbox>: add it")
        texts = [box.findtext(name) or "" for name in ("xmin", "ymin", "xmax", "ymax")]
        name = (element.findtext("name") or "").strip()
        yield NamedBox(name, _ends(texts, str(path)), str(path), size)


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


def _any_number(texts: list[str]) -> bool:
    """Whether a line has a number, so that it cannot be a header, even if other cells are bad."""
    return any(text.strip().lstrip("-")[:1].isdecimal() for text in texts)
