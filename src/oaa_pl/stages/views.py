"""How trained networks see photos: sizes, scales, flips."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig

from oaa_pl.config.compose import overridden
from oaa_pl.config.recipe import Recipe, plain
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.errors import ConfigError
from oaa_pl.nets.spans import TILE
from oaa_pl.stages.parts import Data, Network

__all__ = ["VIEWS", "MapViews", "map_views_of", "tile_of", "views_of"]

VIEWS = ("size", "keep_shape", "scales", "flip")
"""Values of `evaluate` that are arguments of `nets.inference.SegmentPhoto`."""


@dataclass(frozen=True)
class MapViews:
    """At which scales, mirrored or not, a trained model looks at photos to make its maps.

    Attributes:
        scales: of the input size, each above 0.
        flip: whether to look at the mirrored photo too.
        side: the input size in pixels at scale 1.
        transform: what makes the input of another size.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    side: int = 0
    transform: Callable[[int], Recipe] | None = None

    @property
    def single(self) -> bool:
        """Whether the model looks once, at the input size."""
        return self.scales == (1.0,) and not self.flip

    @property
    def key(self) -> dict[str, Any]:
        """For a stage's record; nothing where the model looks once, as in older records."""
        return {} if self.single else {"views": {"scales": list(self.scales), "flip": self.flip}}

    def described(self, conversion: str) -> str:
        """A conversion to attention with the views, as a store's header has it."""
        if self.single:
            return conversion
        scales = ", ".join(f"{scale:g}" for scale in self.scales)
        return f"{conversion} at scales {scales}{' and mirrored' * self.flip}"

    def loaders(self, data: Data, net: Network, multiple: int) -> list[OaaDataModule]:
        """The training photos at each scale.

        Args:
            data: photos and tags.
            net: whose input they become.
            multiple: input sides are rounded to a multiple of this, the network's stride: the cells
                of a mirrored photo would be shifted otherwise.
        """
        if self.single or self.transform is None:
            return [data.loaders(net, data.train)]
        sides = [multiple * max(1, round(self.side * s / multiple)) for s in self.scales]
        # The photos are read again at each size: a resized input would have no finer detail.
        workers = -(-data.num_workers // len(sides))
        return [
            replace(data, eval_transform=self.transform(side), num_workers=workers).loaders(
                net, data.train
            )
            for side in sides
        ]


def map_views_of(cfg: DictConfig) -> MapViews:
    """The views that `attend` asks for; an older record has no such part.

    Args:
        cfg: the configuration.

    Raises:
        ConfigError: if one is of another kind or out of range, or the data set has no input of
            another size.
    """
    asked: Any = plain(cfg.get("attend")) or {}
    scales = _scales(asked.get("scales", [1.0]), "attend.scales")
    flip = _switch(asked.get("flip", False), "attend.flip")
    side: Any = cfg.data.get("input_size")
    views = MapViews(tuple(map(float, scales)), flip, side, lambda side: _transform_at(cfg, side))
    if views.single:
        return views
    resizable = isinstance(side, int) and _transform_at(cfg, side) != _transform_at(cfg, side + 1)
    if not resizable:
        raise ConfigError(
            "attend.scales and attend.flip need a data.eval_transform that resizes to "
            "${data.input_size}, and this data set has another; leave them out, or change it"
        )
    return views


def _transform_at(cfg: DictConfig, side: int) -> Recipe:
    """The transform of photos that are not trained on, for another input size."""
    other = overridden(cfg, {"data": {"input_size": side}})
    return Recipe(plain(other.data.eval_transform))


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
        views[key] = _switch(False if views[key] is None else views[key], f"{called}{key}")
    size = views["size"]
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise ConfigError(
            f"{called}size must be a whole number of pixels, 1 or more, or null for the photo's "
            f"own size, got {size!r}"
        )
    _scales(views["scales"], f"{called}scales")
    return views


def tile_of(cfg: DictConfig) -> int | None:
    """Longest side in pixels of what a segmenter's network gets at once; None: any.

    An older record has no such value: it was `TILE`.

    Args:
        cfg: the configuration.

    Raises:
        ConfigError: if it is not a positive whole number, or null.
    """
    tile: Any = plain(cfg.evaluate.get("tile", TILE))
    if tile is not None and (type(tile) is not int or tile < 1):
        raise ConfigError(
            f"evaluate.tile must be a whole number of pixels, 1 or more, or null for no tiles, "
            f"got {tile!r}"
        )
    return tile


def _switch(value: object, called: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{called} must be true or false, got {value!r}")
    return value


def _scales(value: Any, called: str) -> list[float]:
    if not isinstance(value, list) or not value or not all(map(_is_scale, value)):
        raise ConfigError(
            f"{called} must be a list of numbers above 0, such as [0.75,1.0,1.25], got {value!r}"
        )
    return value


def _is_scale(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < float("inf")  # type: ignore[operator]  # a number
