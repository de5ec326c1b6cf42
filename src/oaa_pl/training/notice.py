"""Messages that a command logs once, even if several of its stages have them."""

import logging

from lightning_utilities.core.rank_zero import rank_zero_only

__all__ = ["forget", "say_once"]

_said: set[str] = set()


def say_once(log: logging.Logger, level: int, message: str) -> None:
    """Log a message, unless this command has, or another process of a training does.

    Args:
        log: of the module that reports.
        level: of `logging`.
        message: the whole text.
    """
    if message not in _said and getattr(rank_zero_only, "rank", 0) in (0, None):
        _said.add(message)
        log.log(level, "%s", message)


def forget() -> None:
    """Begin a new command."""
    _said.clear()
