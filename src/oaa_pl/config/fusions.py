"""The fusions that a configuration names, as the labels that stores and records keep."""

from collections.abc import Mapping
from typing import Any

from oaa_pl.attention.fusion import Fusion
from oaa_pl.config.recipe import Recipe
from oaa_pl.errors import ConfigError

__all__ = ["fusion_labels"]


def fusion_labels(stores: Mapping[str, Any]) -> dict[str, str]:
    """Label of the rule that fuses each accumulated method's maps.

    Args:
        stores: `fusion.stores` of a configuration, as plain values.

    Raises:
        ConfigError: if one is not a fusion, or has a value that a store would not keep.
    """
    return {method: _label(method, node) for method, node in stores.items()}


def _label(method: str, node: Any) -> str:
    if isinstance(node, str):
        return node  # of an older record
    # Making it makes it known to the stores, by its name.
    fusion = Recipe(node)()
    if not isinstance(fusion, Fusion):
        raise ConfigError(
            f"fusion.stores.{method} must be an attention.fusion.Fusion, got {fusion!r}"
        )
    # A store knows its rule by the label alone.
    if lost := {key for key in node if key[0] != "_"} - {*fusion.parameters}:
        raise ConfigError(
            f"fusion.stores.{method}: {min(lost)!r} is not among the parameters of "
            f"{type(fusion).__name__}, so its store would not keep it; add it to `parameters`"
        )
    return fusion.label
