"""Image-level tags, from a tag file, annotations or masks. Training sees no other labels.

Shapes: N images, C foreground classes; tags are rows of (N, C) uint8 in {0, 1}.
"""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.exports import read_export
from oaa_pl.data.images import check_mask, photo_size, read_mask
from oaa_pl.data.tag_cell import SEPARATOR, tags_of
from oaa_pl.data.tag_rows import (
    TagRow,
    check_new,
    check_tags,
    class_named,
    require_tag,
    rows_of_export,
)
from oaa_pl.data.tag_table import read_cells, words_of
from oaa_pl.errors import first_few
from oaa_pl.ids import IGNORED
from oaa_pl.names import same_text

__all__ = [
    "TagRow",
    "class_named",
    "read_tag_file",
    "rows_of_export",
    "tags_from_mask",
    "to_labels",
]

log = logging.getLogger(__name__)


def read_tag_file(path: Path, classes: Sequence[str] | None = None) -> list[TagRow]:
    """Read a tag file.

    A `.csv` has the columns `image` and `tags`. If any cell has a `;`, tags are separated by `;`
    everywhere, so that class names may contain blanks; otherwise by blanks. A file with another
    suffix has one `image tag tag ...` per line, and comments after `#`. With `classes`, it may have
    zero-based class numbers instead of names, as in the authors' lists. Exports of label tools,
    JSON and Parquet are recognised by their content: see `oaa_pl.data.exports`.

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
    export = read_export(path)
    if export is not None:
        return rows_of_export(path, export, classes)
    cells, table = read_cells(path)
    known = {same_text(name): name for name in classes or ()}
    parted = next((c.line for c in cells if SEPARATOR in c.tags and c.tags not in known), None)
    rows: list[TagRow] = []
    first_line: dict[str, int] = {}
    for cell in cells:
        where = f"{path}:{cell.line}"
        check_new(cell.image, where, first_line)
        tags = tags_of(cell, known, parted is not None, where)
        require_tag(cell.image, tags, where)
        if classes is not None:
            tags = [class_named(tag, classes, where, numbers=not table) for tag in tags]
        first_line[cell.image] = cell.line
        rows.append(TagRow(cell.image, tuple(tags), cell.line))
    if classes is None:
        check_tags(path, rows)
        _warn_of_joined(path, rows, parted)
    return rows


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

    Examples:
        >>> to_labels([["dog"], ["dog", "cat", "dog"]], ["cat", "dog"])
        array([[0, 1],
               [1, 1]], dtype=uint8)
    """
    place = {name: c for c, name in enumerate(classes)}
    labels = np.zeros((len(tags), len(classes)), dtype=np.uint8)
    for row, names in zip(labels, tags, strict=True):
        row[[place[name] for name in names]] = 1
    return labels


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
