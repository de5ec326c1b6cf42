"""The first difference between two records."""

from typing import Any

__all__ = ["first_difference"]


def first_difference(old: Any, new: Any, where: str = "") -> str:
    """The first value in which two nested records differ, as `key=old, not new`; else empty."""
    if {type(old), type(new)} == {dict, type(None)}:
        # A part that one of them lacks is compared by its values, not as a whole.
        old, new = old or {}, new or {}
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            inner = f"{where}.{key}" if where else key
            found = first_difference(old.get(key), new.get(key), inner)
            if found:
                return found
        return ""
    return "" if old == new else f"{where}={old!r}, requested {new!r}"
