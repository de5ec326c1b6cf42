"""Image-level tags, from a tag file, annotations or masks. Training sees no other labels.

Shapes: N images, C foreground classes; tags are rows of (N, C) uint8 in {0, 1}.
"""

import logging
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.images import check_mask, photo_size, read_mask
from oaa_pl.data.tag_cell import SEPARATOR, tags_of
from oaa_pl.data.tag_table import read_cells, words_of
from oaa_pl.errors import BadTagFileError, UnknownClassError, UntaggedImageError, first_few
from oaa_pl.ids import IGNORED
from oaa_pl.names import class_fault, likeness, look, name_fault, same_text

__all__ = ["TagRow", "class_named", "read_tag_file", "tags_from_mask", "to_labels"]

log = logging.getLogger(__name__)


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

    A `.csv` has the columns `image` and `tags`. If any cell has a `;`, tags are separated by `;`
    everywhere, so that class names may contain blanks; otherwise by blanks. A file with another
    suffix has one `image tag tag ...` per line, and comments after `#`. With `classes`, it may have
    zero-based class numbers instead of names, as in the authors' lists.

    Args:
        path: the tag file, in UTF-8, or in UTF-16 with a byte order mark.
        classes: allowed names; None: any.

    Returns:
        The rows in file order.

    Raises:
        BadTagFileError: if the file cannot be read, its header is missing, a row is malformed, a
            tag cannot be a class, or two tags differ only in case, blanks or encoding of accents.
        UntaggedImageError: if a row has no tag.
        UnknownClassError: if a tag is not in `classes`.
    """
    cells, table = read_cells(path)
    known = {same_text(name): name for name in classes or ()}
    parted = next((c.line for c in cells if SEPARATOR in c.tags and c.tags not in known), None)
    rows: list[TagRow] = []
    first_line: dict[str, int] = {}
    for cell in cells:
        where = f"{path}:{cell.line}"
        _check_image(cell.image, where)
        if cell.image in first_line:
            raise BadTagFileError(
                f"{where}: image {cell.image!r} was on line {first_line[cell.image]} already: "
                "keep one row"
            )
        tags = tags_of(cell, known, parted is not None, where)
        if not tags:
            raise UntaggedImageError(
                f"{where}: image {cell.image!r} has no tag: tag it or remove it"
            )
        if classes is not None:
            tags = [class_named(tag, classes, where, numbers=not table) for tag in tags]
        first_line[cell.image] = cell.line
        rows.append(TagRow(cell.image, tuple(tags), cell.line))
    if classes is None:
        _check_tags(path, rows)
        _warn_of_joined(path, rows, parted)
    return rows


def class_named(tag: str, classes: Sequence[str], where: str, numbers: bool = False) -> str:
    """The class for a tag.

    Args:
        tag: text of the tag; accents in either encoding.
        classes: allowed names.
        where: file and line, for the message.
        numbers: whether zero-based class numbers are allowed too.

    Raises:
        UnknownClassError: if the tag is not a class.
    """
    if tag in classes:
        return tag
    for name in classes:
        if same_text(name) == same_text(tag):
            return name
    if numbers and re.fullmatch("[0-9]{1,9}", tag) and int(tag) < len(classes):
        return classes[int(tag)]
    alike = [name for name in classes if look(name) == look(tag)]
    own = "correct the tag, or give all classes in their order: data.classes=[...]"
    meant = f"write {alike[0]!r} for it" if alike else own
    shown = ", ".join(classes)
    raise UnknownClassError(f"{where}: unknown class {tag!r}, expected one of {shown}: {meant}")


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
    """Convert class names to rows of zeros and ones.

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


def _check_image(image: str, where: str) -> None:
    path = Path(image.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or image in ("", "."):
        raise BadTagFileError(
            f"{where}: image {image!r} is not a path below the photo folder: write it relative"
        )
    if fault := name_fault(image):
        raise BadTagFileError(f"{where}: image {image!r} {fault}: rename the photo")


def _check_tags(path: Path, rows: Sequence[TagRow]) -> None:
    """Refuse tags that cannot be classes, if there is no list of classes."""
    seen: dict[str, tuple[str, int]] = {}
    for row in rows:
        for tag in row.tags:
            other, line = seen.setdefault(look(tag), (tag, row.line))
            if other != tag:
                raise BadTagFileError(
                    f"{path}:{row.line}: the tags {likeness(other, tag)} (line {line}): write both "
                    "the same way"
                )
    # Check single tags, so that the error has the line.
    for tag, line in seen.values():
        if fault := class_fault([tag]):
            raise BadTagFileError(f"{path}:{line}: {fault}")


def _warn_of_joined(path: Path, rows: Sequence[TagRow], parted: int | None) -> None:
    """Warn about tags such as `dog cat` if `dog` is a class too, and a `;` makes them one tag."""
    if parted is None:
        return
    classes = {tag for row in rows for tag in row.tags}
    joined = [
        f"{tag!r} (line {row.line})"
        for row in rows
        for tag in row.tags
        if len(words_of(tag)) > 1 and classes & set(words_of(tag))
    ]
    if joined:
        _warn_once(
            f"{path}: line {parted} has a ';', so that blanks are part of a name everywhere: one "
            f"class each is {first_few(joined)}; write ';' between the tags if they are several"
        )


@cache
def _warn_once(message: str) -> None:
    """Warn once, although every stage reads the tag file."""
    log.warning("%s", message)
