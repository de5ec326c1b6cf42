"""Run a command on a composed configuration: once, or once per combination of a sweep."""

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from oaa_pl.config.compose import compose_group, in_sweep, register
from oaa_pl.config.flags import require_own_places, split
from oaa_pl.config.methods import read_users_methods
from oaa_pl.config.paths import expand_paths
from oaa_pl.config.sweep import Journal, Sweep, taking_part
from oaa_pl.config.words import as_hydra_reads
from oaa_pl.errors import ConfigError
from oaa_pl.files.installed import root_of

__all__ = ["run_job"]


def run_job(
    job: Callable[[DictConfig], Any],
    words: Sequence[str],
    prepare: Callable[[], None] | None = None,
) -> None:
    """Compose the configuration and run a job on it, or one per combination with `-m`.

    Args:
        job: what to do with a composed configuration. In a sweep, what it returns is the job's
            metric: Hydra gives it to the sweeper. A function of a module: a launcher may pickle it.
        words: Hydra's command line, flags and overrides.
        prepare: called first in each other process that a launcher starts; pickled as well.

    Raises:
        HydraException: if the overrides do not fit the configuration.
        ConfigError: if a word cannot be read, or a file of `--config-dir` never would be.
        JobsFailedError: if jobs of a sweep failed; the other jobs have run.
    """
    register()
    conf = root_of("conf")
    flags, overrides = split(words)
    require_own_places(flags, conf)
    sweep = "-m" in flags or "--multirun" in flags
    overrides = as_hydra_reads(overrides, sweep=sweep)
    # Hydra would print an error and leave; the command line wants the exception itself.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    command_line = sys.argv

    with _shared_folder(overrides) as folder:
        journal = Journal(folder, _fixed(overrides))
        task = _Job(job, journal, list(command_line), prepare, _swept_fusions(overrides))
        main = hydra.main(version_base="1.3", config_path=str(conf), config_name="config")
        try:
            # Flags first: Hydra wants the overrides in one piece, but people who repeat a command
            # to sweep write -m last.
            sys.argv = [command_line[0], *flags, *_settings(overrides), *overrides]
            main(task)()
        except SystemExit as leaving:
            if leaving.code:  # 0 after `--hydra-help`
                raise
        except Exception as error:
            journal.raise_if_any(error)
            raise
        finally:
            sys.argv = command_line
            HydraConfig.instance().cfg = None  # a later call in this process is another job
            journal.report()
        journal.raise_if_any()
    if task.alone:
        raise task.alone[0]


@dataclass
class _Job:
    """What Hydra calls for each combination, in this process or in another one.

    Attributes:
        job: the command.
        journal: of the sweep.
        command_line: of the process that started it.
        prepare: called first in another process.
        fusions: the fusions that the sweep varies, if one training feeds all of them.
        alone: the error of a job without a sweep.
    """

    job: Callable[[DictConfig], Any]
    journal: Journal
    command_line: list[str]
    prepare: Callable[[], None] | None = None
    fusions: Sequence[str] = ()
    alone: list[Exception] = field(default_factory=list)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickle in another process, which knows nothing of ours yet."""
        self.__dict__.update(state)
        register()
        if self.prepare is not None:
            self.prepare()

    def __call__(self, cfg: DictConfig) -> Any:
        # Lightning's `ddp` starts its other processes with this very command line.
        sys.argv = list(self.command_line)
        try:
            _require_sweep()
            expand_paths(cfg)
            read_users_methods()
            if not in_sweep():
                return self.job(cfg)
            with taking_part(Sweep(self.journal, self._variant(cfg))):
                return _for_sweeper(self.job(cfg), cfg)
        except Exception as error:
            if in_sweep():
                # Hydra continues with the other jobs, and tells its sweeper.
                raise self.journal.fail(error) from error
            self.alone.append(error)  # Hydra would print an error of its own above ours
            return None

    def _variant(self, cfg: DictConfig) -> str:
        """What is varied in this job; its fusion is left out where one training feeds all."""
        variant = str(HydraConfig.get().job.override_dirname)
        items = variant.split(",")
        places = [i for i, item in enumerate(items) if item.partition("=")[0] == "fusion"]
        if not self.fusions or not places:
            return variant
        home = Path(str(cfg.runs)) / str(cfg.name)
        for name in self.fusions:
            items[places[0]] = f"fusion={name}"
            if os.path.isdir(home / ",".join(items)):  # noqa: PTH112  # false for a long name
                return variant  # continue a sweep of an older package, with a folder for each
        groups = [OmegaConf.to_container(compose_group("fusion", one)) for one in self.fusions]
        stores = {key: node for one in groups for key, node in one["stores"].items()}  # type: ignore[call-overload,index,union-attr]  # mappings
        cfg.fusion = {"stores": stores}
        del items[places[0]]
        return ",".join(items)


def _require_sweep() -> None:
    """Refuse a search that would silently be one job with the values of the configuration.

    Raises:
        ConfigError: if an optimising sweeper is chosen without -m.
    """
    if not in_sweep() and _optimises():
        raise ConfigError(
            f"hydra.sweeper={HydraConfig.get().sweeper._target_} searches only with -m; add -m, or "
            "leave out hparams_search=... and hydra/sweeper=..."
        )


def _optimises() -> bool:
    return not str(HydraConfig.get().sweeper._target_).endswith(".BasicSweeper")


def _for_sweeper(value: Any, cfg: DictConfig) -> Any:
    """A job's metric; a sweeper that optimises is never given one that says nothing.

    Raises:
        ConfigError: if a sweeper needs it, and it is missing or not finite.
    """
    if not _optimises():
        return value
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(
            f"optimized_metric={cfg.optimized_metric}: expected a number for the sweeper, got "
            f"{value}; choose a metric that results.csv has for this command"
        )
    return float(value)


@contextmanager
def _shared_folder(words: Sequence[str]) -> Iterator[Path]:
    """A folder that the sweep's processes share; on a cluster they share only the current one."""
    cluster = any(word.startswith("hydra/launcher=") and "joblib" not in word for word in words)
    place = Path.cwd() if cluster else None
    with TemporaryDirectory(prefix=".oaa-sweep-", dir=place, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


# A stage's folder is named by these already, or they do not change what is made.
_NOT_IN_A_NAME = (
    "seed", "name", "runs", "experiment", "stage", "method", "methods", "loss",
    "segmenter.net", "segmenter.weights", "segmenter.fraction",
)  # fmt: skip


def _settings(words: Sequence[str]) -> list[str]:
    """Settings of Hydra that a sweep of this package needs.

    Its jobs are named by what the sweep varies, and by nothing else. A job that failed does not
    end a search: it is named at the end.
    """
    keys = sorted({*_NOT_IN_A_NAME, *_fixed(words)})
    quoted = ",".join(f"'{key}'" for key in keys)
    settings = [f"hydra.job.config.override_dirname.exclude_keys=[{quoted}]"]
    if "hydra/sweeper=optuna" in words:
        settings.append("hydra.sweeper.max_failure_rate=1.0")
    return settings


def _fixed(words: Sequence[str]) -> frozenset[str]:
    """Keys of the overrides that a sweep does not vary."""
    parsed = OverridesParser.create().parse_overrides(list(words))
    keys = {
        sweep: {str(one.key_or_group) for one in parsed if one.is_sweep_override() == sweep}
        for sweep in (False, True)
    }
    return frozenset(keys[False] - keys[True])  # a key may be given twice: the last one counts


def _swept_fusions(words: Sequence[str]) -> tuple[str, ...]:
    """The fusions that a sweep varies, if they are the package's: its stores do not collide."""
    parsed = OverridesParser.create().parse_overrides(list(words))
    swept = [one for one in parsed if one.key_or_group == "fusion" and one.is_choice_sweep()]
    changed = any(str(one.key_or_group).startswith("fusion.") for one in parsed)
    ours = {file.stem for file in (root_of("conf") / "fusion").glob("*.yaml")}
    names = tuple(str(value) for value in swept[-1].sweep_iterator()) if swept else ()
    return names if not changed and set(names) <= ours else ()
