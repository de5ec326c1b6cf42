"""Paths with `~` and variables such as `$HOME`."""

import os
from pathlib import Path

__all__ = ["expanded", "expanded_path"]


def expanded(text: str) -> str:
    """A path with `~` and variables such as `$HOME` replaced; unknown ones are left as they are.

    Examples:
        >>> expanded("photos/$NO_SUCH_VARIABLE"), expanded("~no-such-user/photos")
        ('photos/$NO_SUCH_VARIABLE', '~no-such-user/photos')
    """
    if "://" in text:
        return text  # a URL
    # As in a shell, a `~` inside a variable is not replaced.
    return os.path.expandvars(os.path.expanduser(text))  # noqa: PTH111  # Path would raise for ~x


def expanded_path(path: str | Path) -> Path:
    """`expanded` as a path."""
    return Path(expanded(str(path)))
