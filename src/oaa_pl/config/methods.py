"""Methods as a configuration names them, and methods of the user's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from oaa_pl.errors import ConfigError
from oaa_pl.report.methods import Method, method_of, methods, read_methods_from

__all__ = ["chosen_method", "method_in", "read_users_methods"]


def chosen_method(values: Mapping[str, Any] | DictConfig) -> Method:
    """The method that `method=NAME` chooses; by default the last of `methods`.

    Args:
        values: the configuration, composed or as plain values.

    Raises:
        ConfigError: if there is no such method, or none to choose from.
    """
    named = values.get("method")
    if isinstance(named, Mapping | DictConfig):
        return method_of(str(named["name"]))
    if not values["methods"]:
        raise ConfigError("methods is empty, so there is no method to work on; say method=NAME")
    return method_in(values, str(values["methods"][-1]))


def method_in(values: Mapping[str, Any] | DictConfig, name: str) -> Method:
    """A method of the registry, or one that the configuration's loss or fusion makes.

    A loss of the user's own names its method, and a fusion the store that it feeds. Neither needs a
    file in the registry, but without one the method has no title and no colour.

    Args:
        values: the configuration, composed or as plain values.
        name: of the method.

    Raises:
        ConfigError: if there is no such method, or the configuration's loss and the registry
            each say that another loss makes it.
    """
    loss, known = values["loss"], methods()
    if name in known:
        if name == loss["method"] and known[name].loss != loss["name"]:
            raise ConfigError(
                f"loss={loss['name']} must make a method of its own, got loss.method={name}, which "
                f"is made by loss={known[name].loss}; say loss.method=oaa_plus_{loss['name']}"
            )
        return known[name]
    if name == loss["method"]:
        return Method(name, title=name, short=name, source="integral", loss=str(loss["name"]))
    if name in values["fusion"]["stores"]:
        return Method(name, title=name, short=name, source="store")
    return method_of(name)


def read_users_methods() -> None:
    """Let the registry read `method/<name>.yaml` of the folders that `--config-dir` names."""
    sources = HydraConfig.get().runtime.config_sources if HydraConfig.initialized() else ()
    folders = [Path(one.path) for one in sources if one.schema == "file"]
    read_methods_from(folder / "method" for folder in folders)
