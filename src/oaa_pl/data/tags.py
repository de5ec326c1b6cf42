"""Image-level tags: the only labels that training sees, from a tag file, annotations or masks.

Shapes: N images, C foreground classes; tags are rows of (N, C) uint8 in {0, 1}.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.images import check_mask, photo_size, read_mask
from oaa_pl.errors import BadTagFileError, UnknownClassError, UntaggedImageError
from oaa_pl.ids import IGNORED

__all__ = ["TagRow", "read_tag_file", "tags_from_annotation", "tags_from_mask", "to_labels"]

_HEADER = ["image", "tags"]


class TagRow(NamedTuple):
    """One image of a tag file.

    Attributes:
        image: the photo's name as written, with or without a suffix.
        tags: class names, at least one.
        line: in the file, from 1.
    """

    image: str
    tags: tuple[str, ...]
    line: int


def read_tag_file(path: Path, classes: Sequence[str] | None = None) -> list[TagRow]:
    """Read a tag file.

    A `.csv` begins with the row `image,tags`; the tags of a row are separated by spaces, or by
    `;` where class names contain spaces. Any other suffix means one `image tag tag ...` a line
    and, given `classes`, allows zero-based class numbers for names (the authors' lists are so).

    Args:
        path: the tag file, in UTF-8.
        classes: the names that are allowed; None: any.

    Returns:
        The rows in file order.

    Raises:
        BadTagFileError: if the file cannot be read, its header is missing or a row is malformed.
        UntaggedImageError: if a row has no tag.
        UnknownClassError: if a tag is not in `classes`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # -sig: spreadsheets put a mark in front
    except FileNotFoundError:
        raise BadTagFileError(f"tag file {path} does not exist: give its path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadTagFileError(f"tag file {path} is no UTF-8 text ({error}): save it so") from error
    cells = _csv_cells(path, text, classes) if path.suffix.lower() == ".csv" else _plain_cells(text)
    rows: list[TagRow] = []
    first_line: dict[str, int] = {}
    for line, image, tags in cells:
        where = f"{path}:{line}"
        if Path(image).is_absolute() or ".." in Path(image).parts or not image:
            raise BadTagFileError(
                f"{where}: image {image!r} is no path below the photo folder: write it relative"
            )
        if image in first_line:
            raise BadTagFileError(
                f"{where}: image {image!r} was on line {first_line[image]} already: keep one row"
            )
        if not tags:
            raise UntaggedImageError(f"{where}: image {image!r} has no tag: tag it or remove it")
        names = tuple(
            _class_name(tag, classes, where, path.suffix.lower() != ".csv") for tag in tags
        )
        first_line[image] = line
        rows.append(TagRow(image, names, line))
    return rows


def tags_from_annotation(path: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """The classes of one PASCAL VOC annotation.

    Objects marked `difficult` count: they are in the photo, and in its mask where it has one.

    Args:
        path: the XML file.
        classes: the names that are allowed.

    Returns:
        One name per object, so a class can come several times.

    Raises:
        UntaggedImageError: if there is no such file.
        BadTagFileError: if it is no XML or an object has no name.
        UnknownClassError: if an object's name is not in `classes`.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise UntaggedImageError(
            f"annotation {path} does not exist, so its image has no tag: add it, or take tags "
            "from masks or a file"
        ) from None
    except ElementTree.ParseError as error:
        raise BadTagFileError(f"{path}:{error.position[0]}: is no XML ({error})") from error
    names = [(element.findtext("name") or "").strip() for element in root.findall("object")]
    if not all(names):
        raise BadTagFileError(f"{path}: an <object> has no <name>: name it or remove it")
    return tuple(_class_name(name, classes, str(path)) for name in names)


def tags_from_mask(path: Path, photo: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """The classes of which a mask has at least one pixel; nothing else of it reaches training.

    Args:
        path: the mask.
        photo: its photo, whose size it must have.
        classes: names in the order of their ids: id c + 1 is `classes[c]`.

    Returns:
        Names in the order of their ids; none if the mask is all background.

    Raises:
        MissingMaskError: if there is no such file.
        BadMaskError: if its size or its ids are wrong.
    """
    mask = read_mask(path)
    check_mask(mask, path, len(classes), photo_size(photo))
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    return tuple(classes[int(i) - 1] for i in present if 0 < i < IGNORED)


def to_labels(tags: Sequence[Sequence[str]], classes: Sequence[str]) -> NDArray[np.uint8]:
    """Class names to rows of zeros and ones.

    Args:
        tags: names per image, each in `classes`, N.
        classes: the C class names.

    Returns:
        (N, C) uint8 in {0, 1}.

    Example:
        >>> to_labels([["dog"], ["dog", "cat", "dog"]], ["cat", "dog"])
        array([[0, 1],
               [1, 1]], dtype=uint8)
    """
    place = {name: c for c, name in enumerate(classes)}
    labels = np.zeros((len(tags), len(classes)), dtype=np.uint8)
    for row, names in zip(labels, tags, strict=True):
        row[[place[name] for name in names]] = 1
    return labels


def _csv_cells(
    path: Path, text: str, classes: Sequence[str] | None
) -> Iterator[tuple[int, str, list[str]]]:
    reader = csv.reader(io.StringIO(text), skipinitialspace=True, strict=True)
    try:
        header = next(reader, [])
        if [cell.strip().lower() for cell in header] != _HEADER:
            raise BadTagFileError(
                f"{path}:1: expected the header 'image,tags', got {','.join(header)!r}: put it on "
                "the first line, columns separated by commas"
            )
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(_HEADER):
                raise BadTagFileError(
                    f"{path}:{reader.line_num}: expected 2 columns (image,tags), got {len(cells)}: "
                    "separate tags by spaces or ';', and quote names that contain commas"
                )
            image, tags = (cell.strip() for cell in cells)
            if ";" in tags:
                names = [name.strip() for name in tags.split(";") if name.strip()]
            else:
                names = [tags] if classes and tags in classes else tags.split()
            yield reader.line_num, image, names
    except csv.Error as error:
        raise BadTagFileError(f"{path}:{reader.line_num}: is no CSV ({error})") from error


def _plain_cells(text: str) -> Iterator[tuple[int, str, list[str]]]:
    for line, row in enumerate(text.splitlines(), start=1):
        cells = row.split()
        if cells and not cells[0].startswith("#"):
            yield line, cells[0].lstrip("/"), cells[1:]


def _class_name(tag: str, classes: Sequence[str] | None, where: str, numbers: bool = False) -> str:
    if classes is None or tag in classes:
        return tag
    if numbers and tag.isdecimal() and int(tag) < len(classes):
        return classes[int(tag)]
    raise UnknownClassError(
        f"{where}: unknown class {tag!r}, expected one of {', '.join(classes)}: correct the tag "
        "or the list of classes"
    )
