"""Quote the words of the command line so that Hydra reads them as the user means them.

Hydra's grammar takes `KEY=VALUE` with values of letters A to z, digits and some signs; `Höhle`,
`photos (1)` and `a=b` must be quoted inside the word, and once more for the shell. It also reads
`2012` as a number. The values of keys that take a path or names are quoted here.
"""

import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from oaa_pl.config.paths import is_path
from oaa_pl.errors import ConfigError
from oaa_pl.files.home import expanded

__all__ = ["as_hydra_reads", "quoted"]

_NAMES = ("data.classes",)  # keys that take a list of names
_NODES = "callbacks"  # takes the names of options, or a list of nodes without names
_ADDED = re.compile(r"^\+{0,2}")


def as_hydra_reads(words: Sequence[str], sweep: bool = False) -> list[str]:
    """The overrides of a command line, each quoted where Hydra would misread it.

    Args:
        words: as the shell passes them, without flags.
        sweep: whether commas separate several values.

    Returns:
        As many words. Paths are expanded; paths and class names are quoted where necessary.

    Raises:
        ConfigError: if a word cannot be read; it says how to write it, if there is a way.
    """
    before = ["", *words]
    return [
        word if word.startswith("~") else _one(word, before[place], sweep)
        for place, word in enumerate(words)
    ]


def quoted(word: str) -> str | None:
    """A `KEY=VALUE` with its value, or each item of its list, in quotes; None if that fails.

    Examples:
        >>> quoted("name=photos (1)"), quoted("data.classes=[Höhle, cat]")
        ('name="photos (1)"', 'data.classes=["Höhle","cat"]')
    """
    key, equals, value = word.partition("=")
    value = value.strip()
    if not equals:
        return None
    items = _items(value)
    if items is not None:
        value = f"[{','.join(_in_quotes(item) for item in items)}]"
    elif value[:1] in ("[", "{"):
        return None  # an incomplete list or mapping: quotes would hide that
    else:
        value = _in_quotes(value)
    found = f"{key}={value}"
    return found if _refusal(found) is None else None


def _one(word: str, before: str, sweep: bool) -> str:
    key, equals, value = word.partition("=")
    key = _ADDED.sub("", key)
    if not equals:
        joined = f"{before} {word}" if "=" in before else f"KEY={word}"
        raise ConfigError(
            f"cannot read {word!r}: values are given as KEY=VALUE; a value with blanks is written "
            f"{shlex.quote(quoted(joined) or joined)}"
        )
    refusal = _refusal(word)
    if key == _NODES and refusal is None and not sweep:
        return _named_nodes(word)
    if is_path(key):
        return _path(word, value, refused=refusal is not None, sweep=sweep)
    if refusal is None and key not in _NAMES:
        return word
    again = quoted(word)
    if refusal is None:  # names: numbers and `null` are texts too, but a sweep is one
        listed = isinstance(OverridesParser.create().parse_override(word).value(), list)
        return again if listed and again is not None else word
    if key in _NAMES and again is not None and _items(value.strip()) is not None:
        return again
    help_ = f"write {shlex.quote(again)}" if again else "see 'oaa COMMAND --help'"
    raise ConfigError(f"cannot read {word!r}: {refusal}; {help_}")


def _named_nodes(word: str) -> str:
    """`callbacks=[{...}, ...]` as a mapping: Hydra takes a list for the names of options."""
    value = OverridesParser.create().parse_override(word).value()
    if not isinstance(value, list) or not any(isinstance(node, dict) for node in value):
        return word
    named = {f"listed_{place}": node for place, node in enumerate(value)}
    return f"+{_NODES}={_written(named)}"


def _written(value: object) -> str:
    """A value as Hydra's grammar has it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{_written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, str):
        return str(QuotedString(text=value, quote=Quote.double).with_quotes())
    return "null" if value is None else str(value).lower()


def _path(word: str, value: str, refused: bool, sweep: bool) -> str:
    """A path's word; null is left as it is. Commas separate paths in a sweep only."""
    values = value.split(",") if sweep else [value]
    if not refused:
        parsed = OverridesParser.create().parse_override(word)
        found = parsed.value()
        if found is None or (sweep and parsed.is_sweep_override()):
            return word
        if isinstance(found, QuotedString):
            found = found.text
        if isinstance(found, str) and expanded(found) == found:
            return word
        values = [found] if isinstance(found, str) else [value]
    return f"{word.partition('=')[0]}={','.join(_in_quotes(expanded(v.strip())) for v in values)}"


def _refusal(word: str) -> str | None:
    """Why Hydra cannot read a word, in its own terms; None if it can."""
    try:
        OverridesParser.create().parse_override(word).value()
    except HydraException as error:
        return " ".join(str(error).splitlines()[:1])
    return None


def _items(value: str) -> list[str] | None:
    """The items of a flat list as they are written, quotes around them removed; None if none."""
    if not re.fullmatch(r"\[.*\]", value, re.DOTALL) or re.search(r"\]\s*,\s*\[", value):
        return None
    inside = value[1:-1]
    # A quoted text, or anything up to a comma.
    item = r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|((?:[^,"'\s][^,]*)?))\s*"""
    items, at = [], 0
    while inside.strip():
        match = re.compile(rf"{item}(?:,|$)").match(inside, at)
        if match is None:
            return None
        text = next((found for found in match.groups() if found is not None), "")
        quote = match[3] is None
        items.append(re.sub(r"\\(.)", r"\1", text) if quote else text.strip())
        at = match.end()
        if at >= len(inside):
            break
    return items if all(items) else None


def _in_quotes(value: str) -> str:
    enclosed = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    if enclosed and _refusal(f"key={value}") is None:
        return value  # it is in quotes already
    return str(QuotedString(text=value, quote=Quote.double).with_quotes())
