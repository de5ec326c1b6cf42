"""Read JSON that a stranger has written: a key that comes twice is an error, never dropped."""

import json
from typing import Any

__all__ = ["parse_json"]


def parse_json(text: str | bytes) -> Any:
    """The content of a JSON text.

    Python keeps the last of two equal keys, so that half of a file merged by hand would be lost.

    Args:
        text: of the file.

    Raises:
        json.JSONDecodeError: if it is not JSON.
        ValueError: if an object has a key twice, or it is nested too deeply.

    Examples:
        >>> parse_json('{"a.jpg": ["dog"]}')
        {'a.jpg': ['dog']}
        >>> parse_json('{"a.jpg": ["dog"], "a.jpg": ["cat"]}')
        Traceback (most recent call last):
        ValueError: the key 'a.jpg' comes twice: keep one of them
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} comes twice: keep one of them")
    return found
