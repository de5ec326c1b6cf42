"""How a trained segmenter sees photos: sizes, scales, flips."""

from typing import Any

from omegaconf import DictConfig

from oaa_pl.config.recipe import plain
from oaa_pl.errors import ConfigError

__all__ = ["VIEWS", "views_of"]

VIEWS = ("size", "keep_shape", "scales", "flip")
"""Values of `evaluate` that are arguments of `nets.inference.SegmentPhoto`."""


def views_of(cfg: DictConfig, called: str = "evaluate.") -> dict[str, Any]:
    """The arguments of `SegmentPhoto` that `evaluate` holds; an older record lacks some.

    Args:
        cfg: the configuration.
        called: what comes before the names of the values in an error.

    Raises:
        ConfigError: if one is of another kind or out of range.
    """
    views = {key: plain(cfg.evaluate.get(key)) for key in VIEWS}
    views["scales"] = [1.0] if views["scales"] is None else views["scales"]
    for key in ("flip", "keep_shape"):
        views[key] = False if views[key] is None else views[key]
        if not isinstance(views[key], bool):
            raise ConfigError(f"{called}{key} must be true or false, got {views[key]!r}")
    size, scales = views["size"], views["scales"]
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise ConfigError(
            f"{called}size must be a whole number of pixels, 1 or more, or null for the photo's "
            f"own size, got {size!r}"
        )
    if not isinstance(scales, list) or not scales or not all(map(_is_scale, scales)):
        raise ConfigError(
            f"{called}scales must be a list of numbers above 0, such as [0.75,1.0,1.25], got "
            f"{scales!r}"
        )
    return views


def _is_scale(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < float("inf")  # type: ignore[operator]  # a number
