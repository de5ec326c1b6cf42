"""Hydra, set up for `oaa`: where the configuration is, and how a job gets its own.

`experiment=NAME` is `conf/experiment/NAME.yaml`; its protocol and its committed results are in
`experiments/NAME`.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from oaa_pl.config.flags import require_own_places, split
from oaa_pl.config.methods import read_users_methods
from oaa_pl.config.paths import expand_paths
from oaa_pl.config.sweep import Failures
from oaa_pl.config.words import as_hydra_reads
from oaa_pl.errors import ConfigError
from oaa_pl.files.home import expanded
from oaa_pl.files.installed import root_of

__all__ = [
    "compose_group",
    "in_sweep",
    "overridden",
    "register",
    "run_job",
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


def run_job(job: Callable[[DictConfig], Any], words: Sequence[str]) -> None:
    """Compose the configuration and run a job on it, or one per combination with `-m`.

    Args:
        job: what to do with a composed configuration. In a sweep, what it returns is the job's
            metric: Hydra gives it to the sweeper.
        words: Hydra's command line, flags and overrides.

    Raises:
        HydraException: if the overrides do not fit the configuration.
        ConfigError: if a word cannot be read, or a file of `--config-dir` never would be.
        JobsFailedError: if jobs of a sweep failed; the other jobs have run.
    """
    register()
    conf = root_of("conf")
    flags, overrides = split(words)
    require_own_places(flags, conf)
    overrides = as_hydra_reads(overrides, sweep="-m" in flags or "--multirun" in flags)
    # Hydra would print an error and leave; the command line wants the exception itself.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    command_line = sys.argv
    alone: list[Exception] = []

    with TemporaryDirectory(prefix="oaa-") as folder:
        failures = Failures(Path(folder), _fixed(overrides))

        def task(cfg: DictConfig) -> Any:
            # Lightning's `ddp` starts its other processes with this very command line.
            sys.argv = command_line
            try:
                expand_paths(cfg)
                read_users_methods()
                return job(cfg)
            except Exception as error:
                if in_sweep():
                    failures.add(error)
                    raise  # Hydra continues with the other jobs, and tells its sweeper
                alone.append(error)  # Hydra would print an error of its own above ours
                return None

        main = hydra.main(version_base="1.3", config_path=str(conf), config_name="config")
        try:
            # Flags first: Hydra wants the overrides in one piece, but people who repeat a command
            # to sweep write -m last.
            sys.argv = [command_line[0], *flags, *_naming(overrides), *overrides]
            main(task)()
        except SystemExit as leaving:
            if leaving.code:  # 0 after `--hydra-help`
                raise
        except Exception as error:
            failures.raise_if_any(error)
            raise
        finally:
            sys.argv = command_line
            HydraConfig.instance().cfg = None  # a later call in this process is another job
        failures.raise_if_any()
    if alone:
        raise alone[0]


# A stage's folder is named by these already, or they do not change what is made.
_NOT_IN_A_NAME = (
    "seed", "name", "runs", "experiment", "stage", "method", "methods", "loss",
    "segmenter.net", "segmenter.weights", "segmenter.fraction",
)  # fmt: skip


def _naming(words: Sequence[str]) -> list[str]:
    """What makes Hydra name a sweep's jobs by what the sweep varies, and by nothing else."""
    keys = sorted({*_NOT_IN_A_NAME, *_fixed(words)})
    quoted = ",".join(f"'{key}'" for key in keys)
    return [f"hydra.job.config.override_dirname.exclude_keys=[{quoted}]"]


def _fixed(words: Sequence[str]) -> frozenset[str]:
    """Keys of the overrides that a sweep does not vary."""
    parsed = OverridesParser.create().parse_overrides(list(words))
    keys = {
        sweep: {str(one.key_or_group) for one in parsed if one.is_sweep_override() == sweep}
        for sweep in (False, True)
    }
    return frozenset(keys[False] - keys[True])  # a key may be given twice: the last one counts


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
    """Hydra as the running job has it, or else with the package's own configuration."""
    if GlobalHydra.instance().is_initialized():
        yield
    else:
        register()
        with hydra.initialize_config_dir(str(root_of("conf")), version_base="1.3"):
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
    """What a multirun varies in this job, seed apart: the name of its folder; empty otherwise."""
    return str(HydraConfig.get().job.override_dirname) if in_sweep() else ""
