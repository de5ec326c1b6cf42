"""Which words may be names of classes and images: the one place that knows.

A name is any text that has something to see and no line break or control character. Two names that
look alike, differing only in case, blanks or the encoding of accents, are a slip of the pen.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from oaa_pl.errors import ConfigError, first_few
from oaa_pl.ids import IGNORED

__all__ = [
    "MOST_CLASSES",
    "as_classes",
    "class_fault",
    "file_fault",
    "likeness",
    "look",
    "name_fault",
    "same_text",
]

MOST_CLASSES = IGNORED - 1  # label maps are 8 bits: 0 is the background, 255 is ignored
_BACKGROUND = "background"

# Unicode's categories of control characters, line and paragraph separators, lone surrogates.
_NOT_IN_A_NAME = ("Cc", "Zl", "Zp", "Cs")
_UNSEEN = ("Cf", "Zs")  # zero-width and direction marks, blanks
_VARIANTS = range(0xFE00, 0xFE10)  # U+FE0F and its kind: "as an emoji", "as text"


def name_fault(name: object) -> str:
    r"""Why something is no name of a class or an image; empty if it is one.

    Example:
        >>> name_fault("coffee maker"), name_fault("two\nlines")
        ('', 'has the control character U+000A')
    """
    if not isinstance(name, str):
        return f"is no text but {type(name).__name__}"
    for character in name:
        if unicodedata.category(character) in _NOT_IN_A_NAME:
            return f"has the control character U+{ord(character):04X}"
    return "" if look(name) else "has nothing to see"


def look(name: str) -> str:
    """What is left of a name without case, blanks, and the encoding of its accents.

    Example:
        >>> look("Coffee Maker") == look("coffeemaker")
        True
    """
    seen = (
        character
        for character in unicodedata.normalize("NFC", name).casefold()
        if unicodedata.category(character) not in _UNSEEN and ord(character) not in _VARIANTS
    )
    return unicodedata.normalize("NFC", "".join(seen))


def same_text(name: str) -> str:
    """A name with its accents in one encoding (NFC), for comparing what people see as equal."""
    return unicodedata.normalize("NFC", name)


def likeness(one: str, other: str) -> str:
    """In what two different names that look alike differ, both shown so that it can be seen."""
    if one.casefold() == other.casefold():
        return f"{one!r} and {other!r} differ only in case"
    if same_text(one) == same_text(other):
        what = "the encoding of accents (NFC and NFD)"
    else:
        what = "case, blanks or invisible characters"
    return f"{one!a} and {other!a} differ only in {what}"


def class_fault(classes: Sequence[str]) -> str:
    """What is wrong with a list of classes, and what to do; empty if nothing is.

    Args:
        classes: names of the foreground classes.
    """
    if not classes:
        return "there is no class: name at least two"
    if len(classes) > MOST_CLASSES:
        return (
            f"there are {len(classes)} classes ({first_few(classes)}), at most {MOST_CLASSES} can "
            "be told apart in a label of 8 bits: merge or leave out some"
        )
    for name in classes:
        if fault := name_fault(name):
            return f"the class {name!r} {fault}: rename it"
        if look(name) == _BACKGROUND:
            return (
                f"{name!r} cannot be a class, since id 0 is the background already: leave it out "
                "of the tags and of the list of classes"
            )
    twice = [name for name, times in Counter(classes).items() if times > 1]
    if twice:
        times = classes.count(twice[0])
        return f"it names the class {twice[0]!r} {times} times, expected once: remove the repeats"
    seen: dict[str, str] = {}
    for name in classes:
        if (other := seen.setdefault(look(name), name)) != name:
            return f"the classes {likeness(other, name)}: write them alike, or rename one"
    return ""


def file_fault(name: str) -> str:
    """Why an id makes no file name inside a folder, for maps, labels and predictions; or empty.

    Example:
        >>> file_fault("CON"), file_fault("../x")
        ('', "has a '/'")
    """
    if fault := name_fault(name):
        return fault
    if "/" in name:
        return "has a '/'"
    return "means a folder" if name in (".", "..") else ""


def as_classes(values: Iterable[Any] | None) -> tuple[str, ...] | None:
    """A list of class names as a configuration gives it: numbers are names as well.

    Args:
        values: names; None where the classes are to be found elsewhere.

    Raises:
        ConfigError: if it is no list, or an entry is neither text nor a whole number: YAML reads
            `no`, `null` and `1.0` as other things than they look like.
    """
    if values is None:
        return None
    if isinstance(values, str | bytes):
        raise ConfigError(f"data.classes must be a list, got {values!r}: write [{values!s}]")
    names: list[str] = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ConfigError(
                f"data.classes has {value!r}, which is no text: write the name in quotes"
            )
        names.append(str(value))
    return tuple(names)
