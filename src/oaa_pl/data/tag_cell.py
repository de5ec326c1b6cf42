"""The tags of one cell of a tag file: how they are told apart, and which cells are refused.

A comma or a bracket makes a class without a word if it is not looked at: `dog,` and
`{"choices":["dog"]}` would be trained on.
"""

import json
import re
from collections.abc import Mapping

from oaa_pl.data.tag_table import TagCell, words_of
from oaa_pl.errors import BadTagFileError
from oaa_pl.names import name_fault, same_text

__all__ = ["SEPARATOR", "tags_of"]

SEPARATOR = ";"
# What people and label tools part tags by, and what is hardly ever part of a class's name.
_OTHER_SEPARATORS = re.compile(r"[,|\t，、；｜]")
_STRUCTURE = re.compile(r"[\[{(].*[\"'].*[\]})]", re.DOTALL)  # of JSON or Python


def tags_of(cell: TagCell, known: Mapping[str, str], parted: bool, where: str) -> list[str]:
    """The tags of one cell, each once.

    Args:
        cell: of a tag file.
        known: the classes that are listed, by their `names.same_text`; they may hold anything.
        parted: whether the file separates tags by `;`, not by blanks.
        where: the cell stands, for the message.

    Raises:
        BadTagFileError: if the cell is a label tool's export, separates tags by another sign, or
            a tag can be no name.
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
    """What to write for a cell of another form: its names with `;` between them."""
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
