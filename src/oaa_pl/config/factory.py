"""What makes a stage's optimiser or schedule, from its recipe."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from hydra.errors import InstantiationException

from oaa_pl.config.recipe import Recipe
from oaa_pl.errors import ConfigError
from oaa_pl.modules.stock import missing

__all__ = ["factory"]


def factory(recipe: Recipe, name: str) -> Callable[..., Any]:
    """What makes a stage's optimiser or schedule: a function of ours, or a class of PyTorch.

    Args:
        recipe: of the function or class.
        name: its key in the configuration, for errors.

    Raises:
        ConfigError: if it cannot be imported, takes no such values, or lacks one.
    """
    try:
        made: Callable[..., Any] = recipe.bound()
    except InstantiationException as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ConfigError(f"{name}: {reason}; say a _target_ that Python can import") from error
    if not isinstance(made, partial):
        raise ConfigError(f"{name} must be a mapping with a _target_, got {recipe.key!r}")
    known, target = inspect.signature(made.func).parameters, recipe.key["_target_"]
    open_ended = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values())
    foreign = [value for value in made.keywords if value not in known and not open_ended]
    # Ignore a null: it gives no value, and Hydra's `~` could not remove its key.
    silent = [value for value in foreign if made.keywords[value] is None]
    for value in silent:
        del made.keywords[value]
    if foreign := [value for value in foreign if value not in silent]:
        without = " ".join(f"~{name}.{value}" for value in foreign)
        raise ConfigError(
            f"{name}: {target} takes no {', '.join(foreign)}; leave out with {without}"
        )
    if lacking := missing(made, schedule=name.endswith(".schedule")):
        needed = " ".join(f"+{name}.{value}=..." for value in lacking)
        raise ConfigError(f"{name}: {target} needs {', '.join(lacking)}; say {needed}")
    return made
