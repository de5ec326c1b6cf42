"""Rules for names of classes and images. No other file checks names.

A name is any visible text without line breaks and control characters. Two names that differ only in
case, blanks or the encoding of accents count as a typing error.
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
_VARIANTS = range(0xFE00, 0xFE10)  # variation selectors, such as U+FE0F: "show as an emoji"


def name_fault(name: object) -> str:
    r"""Why a value cannot name a class or an image; empty if it can.

    Examples:
        >>> name_fault("coffee maker"), name_fault("two\nlines")
        ('', 'has the control character U+000A')
    """
    if not isinstance(name, str):
        return f"must be text, got {type(name).__name__}"
    if name.isascii() and name.isprintable() and name.strip():
        return ""  # of most names, without a look at each character
    for character in name:
        if unicodedata.category(character) in _NOT_IN_A_NAME:
            return f"has the control character U+{ord(character):04X}"
    return "" if look(name) else "has nothing to see"


def look(name: str) -> str:
    """A name without case, blanks and encoding of accents, to find names that look alike.

    Examples:
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
    """A name with its accents in one encoding (NFC), to compare names that look equal."""
    return unicodedata.normalize("NFC", name)


def likeness(one: str, other: str) -> str:
    """How two names that look alike differ, as a part of a message that shows both."""
    if one.casefold() == other.casefold():
        return f"{one!r} and {other!r} differ only in case"
    if same_text(one) == same_text(other):
        what = "the encoding of accents (NFC and NFD)"
    else:
        what = "case, blanks or invisible characters"
    return f"{one!a} and {other!a} differ only in {what}"


def class_fault(classes: Sequence[str]) -> str:
    """What is wrong with a list of classes, and what to do; empty if it is fine.

    Args:
        classes: names of the foreground classes.
    """
    if not classes:
        return "there is no class: give at least two"
    if len(classes) > MOST_CLASSES:
        return (
            f"there are {len(classes)} classes ({first_few(classes)}), expected {MOST_CLASSES} at "
            "most, as labels have 8 bits: merge or leave out some"
        )
    for name in classes:
        if fault := name_fault(name):
            return f"the class {name!r} {fault}: rename it"
        if look(name) == _BACKGROUND:
            return (
                f"{name!r} cannot be a class, because id 0 is the background: leave it out "
                "of the tags and of the list of classes"
            )
    twice = [name for name, times in Counter(classes).items() if times > 1]
    if twice:
        times = classes.count(twice[0])
        return f"it names the class {twice[0]!r} {times} times, expected once: remove the repeats"
    seen: dict[str, str] = {}
    for name in classes:
        if (other := seen.setdefault(look(name), name)) != name:
            return f"the classes {likeness(other, name)}: write them the same way, or rename one"
    return ""


def file_fault(name: str) -> str:
    """Why an id cannot be a file name (of maps, labels, predictions); empty if it can.

    Examples:
        >>> file_fault("CON"), file_fault("../x")
        ('', "has a '/'")
    """
    if fault := name_fault(name):
        return fault
    if "/" in name:
        return "has a '/'"
    return "means a folder" if name in (".", "..") else ""


def as_classes(values: Iterable[Any] | None) -> tuple[str, ...] | None:
    """Class names from the configuration. Whole numbers are names too.

    Args:
        values: names, or None if the classes come from the data set.

    Raises:
        ConfigError: if it is not a list, or an entry is neither text nor a whole number. (YAML
            reads `no`, `null` and `1.0` as a boolean, nothing and a float.)
    """
    if values is None:
        return None
    if isinstance(values, str | bytes):
        raise ConfigError(f"data.classes must be a list, got {values!r}: write [{values!s}]")
    names: list[str] = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ConfigError(
                f"data.classes has {value!r}, which is not text: write the name in quotes"
            )
        names.append(str(value))
    return tuple(names)
