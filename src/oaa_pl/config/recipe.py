"""Recipes: the call that makes a part, in plain values that a record can hold and compare."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf

__all__ = ["Recipe", "plain"]


@dataclass(frozen=True)
class Recipe:
    """The call that makes a part: a node of the configuration, or a function with its values.

    Attributes:
        key: plain values that say what is made: a mapping with `_target_`, or a list of such.
        function: what is called; None: what `key` names, by Hydra.
        values: its arguments, which may be recipes themselves; those of `key` if None.

    Examples:
        >>> from fractions import Fraction
        >>> Recipe({"_target_": "fractions.Fraction", "numerator": 2})(denominator=4)
        Fraction(1, 2)
        >>> Recipe.of(Fraction, numerator=2)(denominator=4)
        Fraction(1, 2)
        >>> Recipe.of(Fraction, numerator=2).key
        {'_target_': 'fractions.Fraction', 'numerator': 2}
    """

    key: Any
    function: Callable[..., Any] | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, function: Callable[..., Any], **values: Any) -> "Recipe":
        """A recipe without a configuration.

        Args:
            function: what makes the part.
            **values: its arguments: plain values, or recipes of parts that are made first.
        """
        plain = {name: v.key if isinstance(v, Recipe) else v for name, v in values.items()}
        target = f"{function.__module__}.{function.__qualname__}"
        return cls({"_target_": target, **plain}, function, values)

    @classmethod
    def partial(cls, function: Callable[..., Any], **values: Any) -> "Recipe":
        """A recipe of the function itself with some of its arguments, as `_partial_: true`."""
        made = cls.of(function, **values)
        return replace(made, key={**made.key, "_partial_": True})

    def __call__(self, **more: Any) -> Any:
        """Make the part.

        Args:
            **more: further arguments; a partial recipe is called with them.

        Raises:
            InstantiationException: of Hydra's, if a node cannot be made.
        """
        if self.function is not None:
            made = self.bound()
            return made if self.key.get("_partial_") and not more else made(**more)
        if more:
            return instantiate(self.key, _convert_="all", _partial_=False, **more)
        return instantiate(self.key, _convert_="all")

    def bound(self) -> Any:
        """The function that makes the part, with its values.

        Raises:
            InstantiationException: of Hydra's, if a node cannot be made.
        """
        if self.function is None:
            return instantiate(self.key, _convert_="all", _partial_=True)
        values = {n: v() if isinstance(v, Recipe) else v for n, v in self.values.items()}
        return partial(self.function, **values)

    @property
    def name(self) -> str:
        """Name of the function or class, without its module."""
        return str(self.key["_target_"]).rpartition(".")[2]

    def without_weights(self) -> "Recipe":
        """The same network without pretrained weights: a checkpoint will give them.

        A recorded configuration is resolved: each part of it names the weights' file for itself,
        and that file may be gone.
        """
        return replace(self, key=_weightless(self.key), values=_weightless(self.values))


def plain(part: Any) -> Any:
    """A part of a configuration as plain, resolved values; anything else as it is."""
    return OmegaConf.to_container(part, resolve=True) if OmegaConf.is_config(part) else part


def _weightless(node: Any) -> Any:
    if isinstance(node, Recipe):
        return node.without_weights()
    if isinstance(node, Mapping):
        return {
            key: "none" if key == "weights" and value is not None else _weightless(value)
            for key, value in node.items()
        }
    return node
