"""Split one cell of a tag file into tags, or refuse the cell.

Without these checks, `dog,` or `{"choices":["dog"]}` would silently become a class.
"""

import json
import re
from collections.abc import Mapping

from oaa_pl.data.tag_table import TagCell, words_of
from oaa_pl.errors import BadTagFileError
from oaa_pl.names import name_fault, same_text

__all__ = ["SEPARATOR", "tags_of"]

SEPARATOR = ";"
# Separators that people and label tools use, and that class names hardly ever contain.
_OTHER_SEPARATORS = re.compile(r"[,|\t，、；｜]")
_STRUCTURE = re.compile(r"[\[{(].*[\"'].*[\]})]", re.DOTALL)  # of JSON or Python


def tags_of(cell: TagCell, known: Mapping[str, str], parted: bool, where: str) -> list[str]:
    """The tags of one cell, each once.

    Args:
        cell: of a tag file.
        known: `names.same_text` to listed class; listed names may contain any sign.
        parted: whether the file separates tags by `;` instead of blanks.
        where: file and line, for the message.

    Raises:
        BadTagFileError: if the cell is a label tool's export, uses another separator, or has a tag
            that cannot be a name.
    """
    if same_text(cell.tags) in known:
        return [cell.tags]
    if _STRUCTURE.fullmatch(cell.tags):
        raise BadTagFileError(
            f"{where}: the tags {cell.tags!r} of {cell.image!r} look like a label tool's export: "
            f"write them as {_plain(cell.tags)!r}"
        )
    tags = cell.tags.split(SEPARATOR) if parted else words_of(cell.tags)
    tags = [tag for tag in (tag.strip() for tag in tags) if tag]
    for tag in tags:
        if same_text(tag) in known:
            continue
        if _OTHER_SEPARATORS.search(tag):
            raise BadTagFileError(
                f"{where}: the tags {cell.tags!r} of {cell.image!r} are not separated by ';': "
                f"write them as {_plain(cell.tags)!r}, or, if {tag!r} is the name of one class, "
                "list it in data.classes"
            )
        if fault := name_fault(tag):
            raise BadTagFileError(f"{where}: the tag {tag!r} of {cell.image!r} {fault}: correct it")
    return list(dict.fromkeys(tags))


def _plain(cell: str) -> str:
    """The advice for a cell in another form: its names, separated by `;`."""
    if not _STRUCTURE.fullmatch(cell):
        names = _OTHER_SEPARATORS.sub(SEPARATOR, cell).split(SEPARATOR)
    else:
        try:
            names = _texts(json.loads(cell))
        except (ValueError, RecursionError):
            names = [a or b for a, b in re.findall(r"\"([^\"]+)\"|'([^']+)'", cell)]
    return SEPARATOR.join(name.strip() for name in names if name.strip()) or "dog;cat"


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [str(value)]
