"""Make the trainer of a stage from the settings of its run and those of the stage itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers.logger import Logger

from oaa_pl.callbacks.checkpoint import AtomicCheckpointIO
from oaa_pl.callbacks.divergence import StopIfDiverged
from oaa_pl.callbacks.early_stop import StopAtEpochEnd, TimeLimit
from oaa_pl.callbacks.epoch_checkpoint import EpochCheckpoint
from oaa_pl.callbacks.epoch_seed import EpochSeed
from oaa_pl.callbacks.progress import StageProgress
from oaa_pl.callbacks.throughput import Throughput
from oaa_pl.config.recipe import Recipe
from oaa_pl.errors import ConfigError
from oaa_pl.modules.precision import true_precision
from oaa_pl.nets.precision import precision_of
from oaa_pl.training.device import accelerator_of
from oaa_pl.training.loggers import filled_in, make_all
from oaa_pl.training.processes import cluster, repeats_the_command, require_supported, spawned
from oaa_pl.training.trainer_plan import TrainerPlan

__all__ = ["make_trainer"]

# Settings that a stage makes itself: the values that agree with ours, and advice for all others.
# Without the check, Hydra would silently replace a user's value by ours.
_OURS: dict[str, tuple[tuple[Any, ...], str]] = {
    "max_epochs": ((None,), "say {stage}.epochs=..."),
    "max_steps": ((None, -1), "say {stage}.epochs=null {stage}.steps=..."),
    "callbacks": ((None, []), "say callbacks=[...], beside trainer, not in it"),
    "logger": ((None,), "say logger=csv or logger=wandb, beside trainer, not in it"),
    "default_root_dir": ((None,), "say runs=<folder>"),
    "plugins": ((None, []), "a stage brings its own; leave it out"),
    "check_val_every_n_epoch": ((), "say classifier.validate_every=..."),
    "use_distributed_sampler": ((False,), "the loaders split the images already; leave it out"),
    "num_sanity_val_steps": ((0,), "a resumed run would differ; leave it out"),
    "enable_progress_bar": ((False,), "a stage shows a bar of its own; leave it out"),
    "enable_model_summary": ((False,), "say callbacks=[{{_target_: ...ModelSummary}}]"),
    "enable_checkpointing": ((None, True), "a stage's result is its checkpoint; leave it out"),
    "overfit_batches": (
        (0, 0.0, None),
        "it replaces the sampler, which every sample's seed comes from; say "
        "+trainer.limit_train_batches=2 loader.shuffle=false",
    ),
    "fast_dev_run": (
        (False, 0),
        "it saves no checkpoint, which the next stage needs; say +trainer.limit_train_batches=2 "
        "name=<another name>",
    ),
    "barebones": ((False,), "it saves no checkpoint, which the next stage needs; leave it out"),
}

# Errors that a constructor of Lightning raises for a value that it does not accept.
_REFUSALS = (
    InstantiationException, MisconfigurationException, LookupError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


def make_trainer(
    plan: TrainerPlan,
    length: tuple[int | None, int],
    what: str,
    folder: Path,
    callbacks: Sequence[Callback],
    *,
    seed: int,
    alone: bool,
    **more: Any,
) -> tuple[Trainer, list[Logger]]:
    """Make a trainer that checkpoints each epoch, logs, and can be repeated exactly.

    Args:
        plan: settings of the run's trainings; its precision is one of Lightning's.
        length: epochs and -1, or None and steps of the optimiser.
        what: the stage's name, for the progress bar and the run's name.
        folder: the stage's folder.
        callbacks: the stage's own.
        seed: of the epochs' draws.
        alone: whether this training is all that the command line does.
        **more: further arguments of the trainer; the plan may limit a validation further.

    Raises:
        ConfigError: if the trainer's settings make no sense, or its
            processes cannot be started here.
    """
    epochs, steps = length
    settings = dict(plan.settings)
    _require_theirs(settings, what)
    plugins: list[Any] = [AtomicCheckpointIO(), *filter(None, [cluster()])]
    precision = precision_of(settings.get("precision")).on(
        accelerator_of(settings.get("accelerator"))
    )
    settings["precision"] = precision.name
    if (plugin := true_precision(precision.name)) is not None:
        # Lightning takes a name or a plugin.
        plugins.append(plugin)
        del settings["precision"]

    def filled(recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
        return {name: filled_in(one, folder, plan.job, what) for name, one in recipes.items()}

    loggers = make_all(filled(plan.loggers), Logger, "logger")  # type: ignore[type-abstract]
    ours: dict[str, Any] = {
        "max_epochs": epochs,
        "max_steps": steps,
        "logger": loggers or False,  # Lightning would make one of its own
        "callbacks": [
            *callbacks,
            *make_all(filled(plan.callbacks), Callback, "callbacks"),
            *_time_limit(settings.pop("max_time", None)),
            EpochSeed(seed),
            StopIfDiverged(),
            StageProgress(what),
            Throughput(what, precision.name),  # after the bar: its line must not break the bar's
            *([LearningRateMonitor("epoch")] if loggers else []),  # it refuses to run without
            StopAtEpochEnd(),
            EpochCheckpoint(folder),
        ],
        "plugins": plugins,
        "use_distributed_sampler": False,  # the loaders have split the images already
        "num_sanity_val_steps": 0,
        "enable_checkpointing": True,
        "enable_progress_bar": False,  # StageProgress shows one for the whole stage
        "enable_model_summary": False,
        "default_root_dir": folder,
        **more,
    }
    if more.get("limit_val_batches") and settings.get("limit_val_batches") is not None:
        del ours["limit_val_batches"]
    one_training = alone and not plan.in_sweep
    trainer = _built(settings, ours)
    require_supported(trainer, one_training=one_training)
    if not one_training and repeats_the_command(trainer):
        # Every job of a sweep and every stage of a pipeline would be repeated with it.
        settings["strategy"] = spawned(settings.get("strategy") or "auto")
        trainer = _built(settings, ours)
    if trainer.limit_train_batches == 0:
        raise ConfigError("trainer.limit_train_batches=0 trains nothing; give it 1 or more")
    return trainer, loggers


def _built(settings: Mapping[str, Any], ours: Mapping[str, Any]) -> Trainer:
    try:
        # In two steps: Hydra would convert our objects to its own containers.
        make = instantiate({**settings, "_partial_": True, "_convert_": "all"})
        # Lists of its own: a trainer adds to them.
        lists = {name: list(ours[name]) for name in ("callbacks", "plugins")}
        trainer: Trainer = make(**{**ours, **lists})
    except _REFUSALS as error:
        # Lightning's message, such as for a missing device or an unknown precision.
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ConfigError(f"trainer: {reason}; say trainer=cpu|gpu|ddp, or correct it") from error
    return trainer


def _require_theirs(settings: Mapping[str, Any], what: str) -> None:
    """Refuse settings that a stage makes itself."""
    stage = what.partition(" ")[0]
    for name, (same, instead) in _OURS.items():
        if name not in settings:
            continue
        value = settings[name]
        if not any(value == one and type(value) is type(one) for one in same):
            raise ConfigError(
                f"trainer.{name}={value!r}: every stage makes this setting itself; "
                + instead.format(stage=stage)
            )


def _time_limit(duration: Any) -> list[Callback]:
    if duration is None:
        return []
    try:
        return [TimeLimit(duration)]
    except (MisconfigurationException, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"trainer.max_time must be DD:HH:MM:SS or such as {{hours: 2}}, got {duration!r}"
        ) from error
