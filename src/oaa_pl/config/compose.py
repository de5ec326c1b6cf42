"""Hydra, set up for `oaa`: where the configuration lies, and experiments as folders.

`experiment=NAME` reads `experiments/NAME/experiment.yaml`, so that an experiment's overrides lie
beside its protocol and its committed results.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from typing_extensions import override

from oaa_pl.config.methods import read_users_methods
from oaa_pl.config.paths import expand_paths
from oaa_pl.config.words import as_hydra_reads
from oaa_pl.errors import ConfigError
from oaa_pl.files.home import expanded
from oaa_pl.files.installed import root_of

__all__ = [
    "ExperimentSource",
    "compose_group",
    "in_sweep",
    "overridden",
    "register",
    "root_of",
    "run_job",
    "variant",
]

_GROUP = "experiment"
_FILE = "experiment.yaml"


class ExperimentSource(FileConfigSource):
    """Finds `experiment/NAME` at `NAME/experiment.yaml` below the experiments folder."""

    @staticmethod
    @override
    def scheme() -> str:
        return "experiments"

    def _inner(self, path: str) -> str | None:
        """File of a config path, relative to the folder; None if it is no experiment's."""
        group, _, name = path.partition("/")
        name = name.removesuffix(".yaml")
        return f"{name}/{_FILE}" if group == _GROUP and name and "/" not in name else None

    @override
    def load_config(self, config_path: str) -> ConfigResult:
        return super().load_config(self._inner(config_path) or config_path)

    @override
    def is_group(self, config_path: str) -> bool:
        return config_path in ("", _GROUP)

    @override
    def is_config(self, config_path: str) -> bool:
        inner = self._inner(config_path)
        return inner is not None and (Path(self.path) / inner).is_file()

    @override
    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if config_path == "":
            return [_GROUP] if results_filter != ObjectType.CONFIG else []
        if config_path != _GROUP or results_filter == ObjectType.GROUP:
            return []
        return sorted(file.parent.name for file in Path(self.path).glob(f"*/{_FILE}"))


def register() -> None:
    """Make Hydra know the experiments folder; harmless when repeated."""
    OmegaConf.register_new_resolver(
        "oaa.experiments", lambda: f"experiments://{root_of('experiments')}", replace=True
    )
    OmegaConf.register_new_resolver("oaa.expanded", expanded, replace=True)
    Plugins.instance().register(ExperimentSource)


def run_job(job: Callable[[DictConfig], None], overrides: Sequence[str]) -> None:
    """Compose the configuration and run a job on it, or one per combination with `-m`.

    Args:
        job: what to do with a composed configuration.
        overrides: Hydra's command line.

    Raises:
        HydraException: if the overrides do not fit the configuration.
        ConfigError: if a word cannot be read.
    """
    register()
    overrides = as_hydra_reads(overrides)
    # Hydra would print an error and leave; the command line wants the exception itself.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    command_line = sys.argv

    failed: list[BaseException] = []

    def with_command_line(cfg: DictConfig) -> None:
        # Lightning's `ddp` starts its other processes with this very command line.
        sys.argv = command_line
        if failed:  # the rest of a sweep would most likely fail alike
            return
        try:
            expand_paths(cfg)
            read_users_methods()
            job(cfg)
        except BaseException as error:
            failed.append(error)  # Hydra would print an error of its own above ours

    conf = root_of("conf")
    main = hydra.main(version_base="1.3", config_path=str(conf), config_name="config")
    try:
        # Flags first: Hydra wants the overrides in one piece, but whoever repeats a command to
        # sweep writes -m last.
        words = [word for word in overrides if "=" in word and not word.startswith("-")]
        rest = [word for word in overrides if word not in words]
        sys.argv = [command_line[0], *rest, *_naming(words), *words]
        main(with_command_line)()
    finally:
        sys.argv = command_line
        HydraConfig.instance().cfg = None  # a later call in this process is another job
    if failed:
        raise failed[0]


# A stage's folder is named by these already, or they do not change what is made.
_NOT_IN_A_NAME = (
    "seed", "name", "runs", "experiment", "stage", "method", "methods", "loss",
    "segmenter.net", "segmenter.weights", "segmenter.fraction",
)  # fmt: skip


def _naming(words: list[str]) -> list[str]:
    """What makes Hydra name a sweep's jobs by what the sweep varies, and by nothing else."""
    parsed = OverridesParser.create().parse_overrides(words)
    fixed = {str(one.key_or_group) for one in parsed if not one.is_sweep_override()}
    keys = sorted({*_NOT_IN_A_NAME, *fixed})
    quoted = ",".join(f"'{key}'" for key in keys)
    return [f"hydra.job.config.override_dirname.exclude_keys=[{quoted}]"]


def compose_group(group: str, name: str) -> DictConfig:
    """One option of a configuration group, by itself.

    Raises:
        ConfigError: if there is no such option.
    """
    path = root_of("conf") / group / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise ConfigError(f"{group} must be one of {known}, got {name!r}")
    option = OmegaConf.load(path)
    if not isinstance(option, DictConfig):
        raise ConfigError(f"{path} is not a mapping; restore it")
    return option


def overridden(cfg: DictConfig, *changes: Mapping[str, Any]) -> DictConfig:
    """A copy of the configuration with changes merged into it, one after another.

    Raises:
        ConfigError: if what comes out is no mapping.
    """
    merged = OmegaConf.merge(cfg, *changes)
    if not isinstance(merged, DictConfig):
        raise ConfigError(f"the configuration must be a mapping, got {type(merged).__name__}")
    return merged


def in_sweep() -> bool:
    """Whether this job is one of a multirun's."""
    return bool(HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN)


def variant() -> str:
    """What a multirun varies in this job, seed apart: the name of its folder; empty otherwise."""
    return str(HydraConfig.get().job.override_dirname) if in_sweep() else ""
