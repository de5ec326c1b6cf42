"""Recipes in a checkpoint: the calls that make the parts of a LightningModule.

A network, loss, optimiser or schedule is a Python object. What a checkpoint can hold is the call
that makes it: a mapping with `_target_` and arguments, as in `conf/`. `load_from_checkpoint` makes
the parts from these.
"""

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.modules.targets import TRAINING, require_known_targets

__all__ = ["Recipe", "part", "recorded"]

Recipe = Mapping[str, Any]


def part(value: Any, name: str) -> Any:
    """A part of a module, made if its recipe is given.

    Args:
        value: the part itself, or a mapping with `_target_`.
        name: of the part, for messages.

    Raises:
        ConfigError: if the recipe calls code of another package.
        WeightsError: if there is neither, or it cannot be made.
    """
    if value is None:
        raise WeightsError(
            f"the checkpoint does not record its {name}: it is of an older version, or its parts "
            f"were made without a recipe; give them: load_from_checkpoint(path, {name}=...)"
        )
    if not isinstance(value, Mapping):
        return value
    advice = f"give it: load_from_checkpoint(path, {name}=...)"
    try:
        require_known_targets(value, f"the checkpoint's {name}", TRAINING)
        return instantiate(dict(value), _convert_="all")
    except ConfigError as error:
        reason = str(error).partition("; ")[0]
        raise ConfigError(f"{reason}; {advice}") from error
    except InstantiationException as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise WeightsError(
            f"the {name} cannot be made from its recipe: {reason}; {advice}"
        ) from error


def recorded(recipe: Recipe | None, parts: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint holds of a module's arguments; empty if it cannot hold all of them.

    Args:
        recipe: recipes of parts that were given as objects.
        parts: the arguments by name, plain values among them.
    """
    values = {**parts, **(recipe or {})}
    plain = (bool, int, float, str, Mapping, type(None))
    known = all(isinstance(value, plain) and value is not None for value in values.values())
    return {name: values[name] for name in parts} if known else {}
