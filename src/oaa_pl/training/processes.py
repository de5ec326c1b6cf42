"""Check how many processes a training has and what started them.

The checks read the built trainer, its strategy and its launcher, not the names in the
configuration: `strategy=auto` with two devices is `ddp`.
"""

from typing import Any

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.lsf import LSFEnvironment
from lightning_fabric.plugins.environments.mpi import MPIEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from pytorch_lightning.strategies.launchers import (
    _MultiProcessingLauncher,
    _SubprocessScriptLauncher,
)
from pytorch_lightning.strategies.xla import XLAStrategy

from oaa_pl.errors import ConfigError

__all__ = ["cluster", "repeats_the_command", "require_supported", "spawned"]

# Strategies that repeat the command line to start their processes, and the same without that.
_SPAWNED = {
    "auto": "ddp_spawn",
    "ddp": "ddp_spawn",
    "ddp_find_unused_parameters_true": "ddp_spawn_find_unused_parameters_true",
    "ddp_find_unused_parameters_false": "ddp_spawn_find_unused_parameters_false",
}


def cluster() -> ClusterEnvironment | None:
    """What started this process, if that starts a training's processes too.

    Returns:
        The environment of torchrun, SLURM, LSF or MPI; None if Lightning starts them.

    Raises:
        ConfigError: if SLURM's variables contradict each other.
    """
    try:
        if TorchElasticEnvironment.detect():
            return TorchElasticEnvironment()
        if SLURMEnvironment.detect():
            # With auto_requeue, Lightning would bypass SIGTERM and save inside an epoch at SIGUSR1.
            # No stage can continue exactly from there. The last whole epoch is on disk anyway.
            environment = SLURMEnvironment(auto_requeue=False)
            # SLURM started one task with several devices: Lightning must start the other processes.
            return environment if environment.world_size() > 1 else LightningEnvironment()
        others: tuple[type[ClusterEnvironment], ...] = (LSFEnvironment, MPIEnvironment)
        for kind in others:
            if kind.detect():
                return kind()
    except (RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"the cluster's environment variables cannot be used: {reason}"
        ) from error
    return None


def repeats_the_command(trainer: Trainer) -> bool:
    """Whether a training starts its other processes by repeating the command line."""
    launcher = trainer.strategy.launcher
    if not isinstance(launcher, _SubprocessScriptLauncher):
        return False
    return not launcher.cluster_environment.creates_processes_externally


def spawned(strategy: Any) -> Any:
    """The same strategy, starting its processes without repeating the command line.

    Args:
        strategy: as in the configuration: a name, or a mapping with a `_target_`.

    Raises:
        ConfigError: if there is no such strategy.
    """
    if isinstance(strategy, dict) and strategy.get("start_method", "popen") == "popen":
        return {**strategy, "start_method": "spawn"}
    if isinstance(strategy, str) and strategy.lower() in _SPAWNED:
        return _SPAWNED[strategy.lower()]
    raise ConfigError(
        f"trainer.strategy={strategy!r} starts its processes by repeating the command line, which "
        "in a sweep or in 'oaa reproduce' would repeat everything; say trainer.strategy=ddp_spawn, "
        "or train each stage by 'oaa fit'"
    )


def require_supported(trainer: Trainer, *, one_training: bool) -> None:
    """Refuse settings that would cause a traceback, a hang or several runs at once.

    Args:
        trainer: as built.
        one_training: whether a single training is all that the command line does.

    Raises:
        ConfigError: if the strategy is not supported, or the processes do not fit together.
    """
    strategy = trainer.strategy
    supported = isinstance(strategy, SingleDeviceStrategy | DDPStrategy)
    if not supported or isinstance(strategy, XLAStrategy):
        raise ConfigError(
            f"trainer.strategy is {type(strategy).__name__}, which splits or moves the network in "
            "a way that accumulation and checkpoints do not know; say trainer.strategy=auto, ddp "
            "or ddp_spawn"
        )
    # Not `world_size`: that comes from the environment.
    outside, number = cluster(), trainer.num_devices * trainer.num_nodes
    if isinstance(outside, LightningEnvironment):
        outside = None
    started = _started(trainer, outside)
    if started > 1:
        _require_one_fit(trainer, outside, started, one_training=one_training)
    elif outside is not None and number > 1:
        raise ConfigError(
            f"{_name(outside)} started 1 process, but trainer.devices and trainer.num_nodes make "
            f"{number}; start {number}, or say trainer.devices=1"
        )
    elif trainer.num_nodes > 1:
        raise ConfigError(
            f"trainer.num_nodes={trainer.num_nodes} needs torchrun or srun, which start the "
            "processes of the other machines; start 'oaa fit' with one of them, or leave it out"
        )


def _started(trainer: Trainer, outside: ClusterEnvironment | None) -> int:
    """How many processes run this command line for this training."""
    if outside is not None:
        return outside.world_size()
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher) and not repeats_the_command(trainer):
        return trainer.world_size  # the user, or Lightning itself, has set LOCAL_RANK
    return 1


def _require_one_fit(
    trainer: Trainer, outside: ClusterEnvironment | None, started: int, *, one_training: bool
) -> None:
    """Check that the processes started from outside make exactly one training."""
    name, number = _name(outside), trainer.num_devices * trainer.num_nodes
    own = isinstance(trainer.strategy.launcher, _MultiProcessingLauncher)
    if not one_training:
        raise ConfigError(
            f"{name} started {started} processes, each of which would run the whole of this "
            "command; start one, and say trainer.devices=N (it starts the others itself), or train "
            "each stage by 'oaa fit', without -m"
        )
    if number != started or own:
        raise ConfigError(
            f"{name} started {started} processes, but trainer.devices={trainer.num_devices}, "
            f"trainer.num_nodes={trainer.num_nodes} and trainer.strategy make {number} by "
            f"themselves; say trainer=ddp trainer.devices={started} (per machine), or start one"
        )
    try:
        if outside is not None:
            outside.validate_settings(trainer.num_devices, trainer.num_nodes)
    except ValueError as error:
        raise ConfigError(f"{name}: {' '.join(str(error).split())}") from error


def _name(outside: ClusterEnvironment | None) -> str:
    if outside is None:
        return "the environment (LOCAL_RANK)"
    if isinstance(outside, TorchElasticEnvironment):
        return "torchrun"
    return "srun" if isinstance(outside, SLURMEnvironment) else type(outside).__name__
