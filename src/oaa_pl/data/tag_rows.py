"""The rows of tag files, whatever their form, and the checks that each of them must pass."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from oaa_pl.data.json_tags import Entry
from oaa_pl.errors import BadTagFileError, OaaError, UnknownClassError, UntaggedImageError
from oaa_pl.names import class_fault, likeness, look, name_fault, same_text

__all__ = ["TagRow", "check_new", "check_tags", "class_named", "require_tag", "rows_of_export"]


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


def rows_of_export(
    path: Path,
    entries: Sequence[Entry],
    classes: Sequence[str] | None = None,
    fault: Callable[[OaaError], object] | None = None,
) -> list[TagRow]:
    """The rows of a label tool's export, checked as those of a tag file.

    Args:
        path: of the export.
        entries: its images.
        classes: allowed names; None: any.
        fault: is given the error of each wrong row, which is left out; None: the first is raised.

    Raises:
        BadTagFileError: as `read_tag_file`.
        UntaggedImageError: if an image has no tag.
        UnknownClassError: if a tag is not in `classes`.
    """
    rows: list[TagRow] = []
    first_line: dict[str, int] = {}
    for entry in entries:
        where = f"{path}:{entry.number}"
        try:
            check_new(entry.image, where, first_line)
            for tag in entry.tags:
                if wrong := name_fault(tag):
                    raise BadTagFileError(
                        f"{where}: the tag {tag!r} of {entry.image!r} {wrong}: correct it"
                    )
            require_tag(entry.image, entry.tags, where)
            tags = entry.tags
            if classes is not None:
                tags = tuple(class_named(tag, classes, where) for tag in tags)
        except OaaError as error:
            if fault is None:
                raise
            fault(error)
            continue
        first_line[entry.image] = entry.number
        rows.append(TagRow(entry.image, tags, entry.number))
    if classes is None:
        check_tags(path, rows)
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


def check_new(image: str, where: str, first_line: Mapping[str, int]) -> None:
    """Refuse a name that is not a path below a folder, or that came before.

    Args:
        image: the name as written.
        where: file and line, for the message.
        first_line: names that came before, with their lines.

    Raises:
        BadTagFileError: if it is such a name.
    """
    _check_image(image, where)
    if image in first_line:
        raise BadTagFileError(
            f"{where}: image {image!r} was on line {first_line[image]} already: keep one row"
        )


def require_tag(image: str, tags: Sequence[str], where: str) -> None:
    """Refuse an image without a tag.

    Args:
        image: its name.
        tags: its tags.
        where: file and line, for the message.

    Raises:
        UntaggedImageError: if there are no tags.
    """
    if not tags:
        raise UntaggedImageError(f"{where}: image {image!r} has no tag: tag it or remove it")


def _check_image(image: str, where: str) -> None:
    path = Path(image.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or image in ("", "."):
        raise BadTagFileError(
            f"{where}: image {image!r} is not a path below the photo folder: write it relative"
        )
    if fault := name_fault(image):
        raise BadTagFileError(f"{where}: image {image!r} {fault}: rename the photo")


def check_tags(path: Path, rows: Sequence[TagRow]) -> None:
    """Refuse tags that cannot be classes, if there is no list of classes.

    Args:
        path: of the tag file, for the message.
        rows: of the file.

    Raises:
        BadTagFileError: if two tags differ only in case, blanks or encoding of accents, or a tag
            cannot be a class.
    """
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
