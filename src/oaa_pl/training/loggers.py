"""The loggers and callbacks that a configuration names, each by its `_target_`.

Both are mappings from a name to a constructor call: `conf/logger` and `conf/callbacks`. A call may
refer to `${training.folder}`, `${training.name}` and `${training.stage}`.
"""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback
from pytorch_lightning.loggers.logger import Logger

from oaa_pl.config.compose import overridden
from oaa_pl.errors import ConfigError

__all__ = ["for_training", "make_callbacks", "make_loggers"]


def for_training(cfg: DictConfig, folder: Path, stage: str) -> DictConfig:
    """The configuration with what loggers and callbacks may refer to.

    Args:
        cfg: the configuration.
        folder: the stage's.
        stage: its name, such as "integral hybrid".
    """
    name = f"{cfg.name} seed {cfg.seed} {stage}"
    return overridden(cfg, {"training": {"folder": str(folder), "name": name, "stage": stage}})


def make_loggers(cfg: DictConfig) -> list[Logger]:
    """The loggers of `cfg.logger`.

    Args:
        cfg: as `for_training` returns it.

    Raises:
        ConfigError: if one cannot be made; it names the extra to install if that is why.
    """
    return _made(cfg, "logger", Logger, "Lightning logger")


def make_callbacks(cfg: DictConfig) -> list[Callback]:
    """The callbacks of `cfg.callbacks`, a mapping or a plain list.

    Args:
        cfg: as `for_training` returns it.

    Raises:
        ConfigError: if one cannot be made; it names the extra to install if that is why.
    """
    return _made(cfg, "callbacks", Callback, "Lightning callback")


def _made(cfg: DictConfig, group: str, kind: type, what: str) -> list[Any]:
    made = []
    for name, node in _nodes(cfg, group):
        advice = f"give each the _target_ of a {what} that Python can import"
        try:
            one = instantiate(node, _convert_="all")
        except InstantiationException as error:
            cause = error.__cause__
            reason = str(cause or error).splitlines()[0]
            if isinstance(cause, ModuleNotFoundError) and name in _extras():
                advice = f"install the extra: pip install 'oaa_pl[{name}]'"
            raise ConfigError(f"{group}: {reason}; {advice}") from error
        except ModuleNotFoundError as error:
            raise ConfigError(f"{group}: {error}; {advice}") from error
        if not isinstance(one, kind):
            raise ConfigError(f"{group}: {name} makes a {type(one).__name__}; {advice}")
        made.append(one)
    return made


def _nodes(cfg: DictConfig, group: str) -> Iterator[tuple[str, DictConfig]]:
    parts = cfg[group]
    if parts is None:
        return
    if not OmegaConf.is_config(parts):
        raise ConfigError(f"{group} must map names to nodes with a _target_, got {parts!r}")
    names = list(parts) if OmegaConf.is_dict(parts) else range(len(parts))
    for name in names:
        if parts[name] is not None:  # an older command line may say logger.wandb=null
            yield str(name), parts[name]


def _extras() -> list[str]:
    return importlib.metadata.metadata("oaa_pl").get_all("Provides-Extra") or []
