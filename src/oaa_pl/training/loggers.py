"""The loggers and callbacks that a configuration names, each by its `_target_`.

Both are mappings from a name to a constructor call: `conf/logger` and `conf/callbacks`. A call may
refer to `${training.folder}`, `${training.group}`, `${training.name}` and `${training.stage}`: the
stage fills them in.
"""

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hydra.errors import InstantiationException
from omegaconf import OmegaConf
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from oaa_pl.config.recipe import Recipe
from oaa_pl.errors import ConfigError

__all__ = ["BLANKS", "filled_in", "log_configuration", "make_all", "named_nodes"]

Made = TypeVar("Made")

BLANKS: Mapping[str, str] = {
    name: f"<training.{name}>" for name in ("folder", "group", "name", "stage")
}
"""What `training.*` is until a stage fills it in."""


def named_nodes(nodes: Any, group: str) -> dict[str, Recipe]:
    """The recipes of a group, by name.

    Args:
        nodes: plain values: a mapping, or a list, whose items get numbers for names.
        group: "logger" or "callbacks", for errors.

    Raises:
        ConfigError: if they are something else.
    """
    if nodes is None:
        return {}
    if isinstance(nodes, list):
        nodes = {str(place): node for place, node in enumerate(nodes)}
    if not isinstance(nodes, Mapping):
        raise ConfigError(f"{group} must map names to nodes with a _target_, got {nodes!r}")
    # An older command line may say logger.wandb=null.
    return {str(name): Recipe(node) for name, node in nodes.items() if node is not None}


def filled_in(recipe: Recipe, folder: Path, group: str, stage: str) -> Recipe:
    """A recipe with the values that the stage fills in.

    Args:
        recipe: of a logger or a callback.
        folder: the stage's.
        group: of the runs on a dashboard; with the stage it is the run's name.
        stage: its name, such as "integral hybrid".
    """
    values = {
        "folder": str(folder), "group": group, "name": f"{group} {stage}", "stage": stage,
    }  # fmt: skip
    return Recipe(_filled(recipe.key, {BLANKS[key]: value for key, value in values.items()}))


def make_all(recipes: Mapping[str, Recipe], kind: type[Made], group: str) -> list[Made]:
    """Make the loggers, or the callbacks.

    Args:
        recipes: by name.
        kind: Lightning's class of what is made.
        group: "logger" or "callbacks", for errors.

    Raises:
        ConfigError: if one cannot be made; it names the extra to install if that is why.
    """
    made = []
    for name, recipe in recipes.items():
        advice = (
            f"give each the _target_ of a Lightning {kind.__name__.lower()} that Python can import"
        )
        try:
            one = recipe()
        except (InstantiationException, ModuleNotFoundError) as error:
            cause = error.__cause__ or error
            if isinstance(cause, ModuleNotFoundError) and name in _extras():
                advice = f"install the extra: pip install 'oaa_pl[{name}]'"
            raise ConfigError(f"{group}: {str(cause).splitlines()[0]}; {advice}") from error
        if not isinstance(one, kind):
            raise ConfigError(f"{group}: {name} makes a {type(one).__name__}; {advice}")
        made.append(one)
    return made


@rank_zero_only
def log_configuration(loggers: Sequence[Logger], config: str) -> None:
    """Give every logger the whole resolved configuration.

    Args:
        loggers: of a training.
        config: YAML.
    """
    values: Any = OmegaConf.to_container(OmegaConf.create(config))
    for logger in loggers:
        logger.log_hyperparams(values)


def _filled(node: Any, values: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        return {key: _filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, values) for value in node]
    if isinstance(node, str):
        for blank, value in values.items():
            node = node.replace(blank, value)
    return node


def _extras() -> list[str]:
    return importlib.metadata.metadata("oaa_pl").get_all("Provides-Extra") or []
