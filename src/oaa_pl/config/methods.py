"""The method that a command works on, and the user's own methods."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from oaa_pl.errors import ConfigError
from oaa_pl.report.methods import Method, method_of, read_methods_from

__all__ = ["chosen_method", "read_users_methods"]


def chosen_method(cfg: DictConfig) -> Method:
    """The method that `method=NAME` chooses; by default the last of `cfg.methods`.

    Raises:
        ConfigError: if there is no such method, or none to choose from.
    """
    named = cfg.get("method")
    if isinstance(named, DictConfig):
        return method_of(str(named.name))
    if not cfg.methods:
        raise ConfigError("methods is empty, so there is no method to work on; say method=NAME")
    return method_of(str(cfg.methods[-1]))


def read_users_methods() -> None:
    """Let the registry read `method/<name>.yaml` of the folders that `--config-dir` names."""
    sources = HydraConfig.get().runtime.config_sources if HydraConfig.initialized() else ()
    folders = [Path(one.path) for one in sources if one.schema == "file"]
    read_methods_from(folder / "method" for folder in folders)
