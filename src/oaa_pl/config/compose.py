"""Hydra, set up for `oaa`: where the configuration is, and parts of it by themselves.

`experiment=NAME` is `conf/experiment/NAME.yaml`; its protocol and its committed results are in
`experiments/NAME`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from oaa_pl.config.sweep import running
from oaa_pl.errors import ConfigError
from oaa_pl.files.home import expanded
from oaa_pl.files.installed import root_of

__all__ = [
    "compose_group",
    "in_sweep",
    "overridden",
    "register",
    "variant",
]


def register() -> None:
    """Make Hydra know the resolvers that `conf/` uses; harmless when repeated."""
    OmegaConf.register_new_resolver("oaa.expanded", expanded, replace=True)
    OmegaConf.register_new_resolver("oaa.input", _input, replace=True)


def _input(library: str, name: str, which: str) -> ListConfig:
    """Mean or std of the images that a network's weights were trained on."""
    from oaa_pl.nets.named import input_statistics  # imports torch

    return ListConfig(input_statistics(library, name, which))


def compose_group(group: str, name: str) -> DictConfig:
    """One option of a configuration group, by itself.

    Inside a job, the folder of `--config-dir` is searched too.

    Raises:
        ConfigError: if there is no such option.
    """
    with _initialized():
        known = GlobalHydra.instance().config_loader().get_group_options(group)
        if name not in known:
            raise ConfigError(f"{group} must be one of {', '.join(sorted(known))}, got {name!r}")
        option = hydra.compose(f"{group}/{name}").get(group)
    if not isinstance(option, DictConfig):
        raise ConfigError(f"{group}/{name}.yaml is not a mapping; restore it")
    return option


@contextmanager
def _initialized() -> Iterator[None]:
    """Hydra as the running job has it, or else with the folders of the job's configuration.

    In a process that a launcher started, Hydra itself is not initialised. Without any job, the
    folder is the package's own.
    """
    if GlobalHydra.instance().is_initialized():
        yield
        return
    register()
    sources = HydraConfig.get().runtime.config_sources if HydraConfig.initialized() else ()
    others = [one.path for one in sources if one.schema == "file" and one.provider != "main"]
    with hydra.initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        if others:
            search_path = create_config_search_path(str(root_of("conf")))
            for folder in others:
                search_path.append("command-line", folder)
            Hydra.create_main_hydra2("oaa", search_path)
        yield


def overridden(cfg: DictConfig, *changes: Mapping[str, Any]) -> DictConfig:
    """A copy of the configuration with changes merged into it, one after another.

    Raises:
        ConfigError: if the result is not a mapping.
    """
    merged = OmegaConf.merge(cfg, *changes)
    if not isinstance(merged, DictConfig):
        raise ConfigError(f"the configuration must be a mapping, got {type(merged).__name__}")
    return merged


def in_sweep() -> bool:
    """Whether this job is one of a multirun's."""
    return bool(HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN)


def variant() -> str:
    """What a sweep varies in this job, the seed apart: the name of its folder; empty otherwise."""
    sweep = running()
    return "" if sweep is None else sweep.variant
