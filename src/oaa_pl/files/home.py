"""What `~` and `$HOME` in a path mean."""

import os
from pathlib import Path

__all__ = ["expanded", "expanded_path"]


def expanded(text: str) -> str:
    """A path with `~` and variables such as `$HOME` replaced; what is unknown is left.

    Example:
        >>> expanded("photos/$NO_SUCH_VARIABLE"), expanded("~no-such-user/photos")
        ('photos/$NO_SUCH_VARIABLE', '~no-such-user/photos')
    """
    if "://" in text:
        return text  # an address
    # A variable that holds a `~` is not looked at again, as in a shell.
    return os.path.expandvars(os.path.expanduser(text))  # noqa: PTH111  # Path would raise for ~x


def expanded_path(path: str | Path) -> Path:
    """The same as a path."""
    return Path(expanded(str(path)))
