"""Train one stage: the trainer, exact resumption, and a clean way out at Ctrl-C."""

import logging
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import wandb
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers.logger import Logger

from oaa_pl.callbacks.checkpoint import LAST, AtomicCheckpointIO, epoch_checkpoint
from oaa_pl.callbacks.divergence import StopIfDiverged
from oaa_pl.callbacks.epoch_seed import EpochSeed
from oaa_pl.callbacks.history import HistoryLogger
from oaa_pl.callbacks.progress import StageProgress
from oaa_pl.callbacks.throughput import Throughput
from oaa_pl.callbacks.wandb import wandb_logger
from oaa_pl.commands.compose import in_sweep
from oaa_pl.commands.precision import accelerator_of
from oaa_pl.commands.record import StageRecord
from oaa_pl.data.class_counts import describe_classes
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.errors import ConfigError, OaaError
from oaa_pl.modules.precision import true_precision
from oaa_pl.nets.precision import precision_of

__all__ = ["make_trainer", "own_callbacks", "train_stage"]

log = logging.getLogger(__name__)


def train_stage(
    cfg: DictConfig,
    stage: DictConfig,
    what: str,
    record: StageRecord,
    module: LightningModule,
    data: OaaDataModule,
    callbacks: list[Callback],
    alone: bool,
    precision: Mapping[str, str],
    **more: Any,
) -> bool:
    """Train, or go on training from the last checkpoint.

    Args:
        cfg: the configuration.
        stage: the stage's part of it.
        what: the stage's name.
        record: of the stage's folder, begun once the trainer accepts its configuration.
        module: what is trained.
        data: what it is trained on.
        callbacks: the stage's own.
        alone: whether this training is all that the command line does.
        precision: which one, and why, for the record.
        **more: further arguments of the trainer.

    Returns:
        Whether this is the process that goes on afterwards: under `ddp` only rank 0 does.

    Raises:
        KeyboardInterrupt: if somebody pressed Ctrl-C; what was checkpointed stays.
        OaaError: if another process of the same training has stopped.
    """
    last = record.folder / LAST
    more = {"limit_val_batches": 0, **more}
    trainer, loggers = make_trainer(cfg, stage, what, record.folder, callbacks, alone=alone, **more)
    if trainer.is_global_zero:  # under `ddp` every process comes here
        record.begin(cfg, classes=list(data.train_set.source.classes), precision=precision)
        log.info("%s: %s", what, describe_classes(data.train_set.source))
    # Lightning leaves the process at Ctrl-C; the command line has something to say first.
    try:
        trainer.fit(module, data, ckpt_path=last if last.is_file() else None, weights_only=True)
    except SystemExit as leaving:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt(f"{what}: interrupted") from leaving
    except RuntimeError as error:
        if trainer.world_size > 1 and re.search("[Cc]onnection (closed|reset)", str(error)):
            raise OaaError(
                f"{what}: another process of this training stopped; its own message says why"
            ) from error
        raise
    finally:
        for logger in loggers:
            logger.finalize("success")
        wandb.finish()  # or the next job of a sweep would go on in this one's run
        if torch.distributed.is_initialized():
            # The other processes leave now: whoever scores afterwards must not wait for them.
            torch.distributed.destroy_process_group()
    return bool(trainer.is_global_zero)


def make_trainer(
    cfg: DictConfig,
    stage: DictConfig,
    what: str,
    folder: Path,
    callbacks: Sequence[Callback],
    *,
    alone: bool,
    **more: Any,
) -> tuple[Trainer, list[Logger]]:
    """A trainer that checkpoints each epoch, logs, and repeats exactly what it is told to.

    Args:
        cfg: the configuration.
        stage: the stage's part of it: `epochs`, or `steps` where that is null.
        what: the stage's name, for the progress bar and the run's name.
        folder: the stage's folder.
        callbacks: the stage's own.
        alone: whether this training is all that the command line does.
        **more: further arguments of the trainer.

    Raises:
        ConfigError: if the trainer's configuration or the stage's length makes no sense.
    """
    settings = OmegaConf.to_container(cfg.trainer, resolve=True)
    if not isinstance(settings, dict):
        raise ConfigError(f"trainer must be a mapping, got {settings!r}; say trainer=cpu|gpu|ddp")
    if settings.get("strategy") == "ddp" and (in_sweep() or not alone):
        # `ddp` starts its other processes by repeating the command line: every job of a sweep and
        # every stage of a pipeline would be repeated with it.
        settings["strategy"] = "ddp_spawn"
    epochs, steps = stage.epochs, stage.steps
    if (steps if epochs is None else epochs) < 1:
        raise ConfigError(f"{what}: epochs, or steps if epochs is null, must be 1 or more")
    precision = precision_of(settings["precision"]).in_training(accelerator_of(cfg))
    settings["precision"] = precision.name
    plugins: list[Any] = [AtomicCheckpointIO()]
    if (plugin := true_precision(precision.name)) is not None:
        # Lightning takes a name or a plugin.
        plugins.append(plugin)
        del settings["precision"]
    loggers: list[Logger] = [HistoryLogger(folder)]
    if cfg.logger.wandb is not None:
        loggers.append(wandb_logger(cfg.logger.wandb, folder, f"{cfg.name} seed {cfg.seed} {what}"))
    ours = own_callbacks(cfg)
    try:
        built: Trainer = instantiate(
            settings,
            max_epochs=epochs,
            max_steps=steps if epochs is None else -1,
            logger=loggers,
            callbacks=[
                *callbacks,
                *ours,
                EpochSeed(cfg.seed),
                StopIfDiverged(),
                StageProgress(what),
                Throughput(what, precision.name),  # after the bar, which its line must not break
                LearningRateMonitor("epoch"),
                epoch_checkpoint(folder),
            ],
            plugins=plugins,
            use_distributed_sampler=False,  # the loaders have split the images already
            num_sanity_val_steps=0,
            enable_progress_bar=False,  # StageProgress shows one for the whole stage
            enable_model_summary=False,
            default_root_dir=folder,
            **more,
        )
    except InstantiationException as error:
        # What Lightning says of a machine without that device, or of an unknown precision.
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ConfigError(f"trainer: {reason}; say trainer=cpu|gpu|ddp, or mend it") from error
    return built, loggers


def own_callbacks(cfg: DictConfig) -> list[Callback]:
    """The Lightning callbacks that `cfg.callbacks` names.

    Raises:
        ConfigError: if one cannot be made.
    """
    try:
        return [instantiate(callback) for callback in cfg.callbacks or ()]
    except InstantiationException as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ConfigError(
            f"callbacks: {reason}; give a list of nodes, each with the _target_ of a Lightning "
            "callback that Python can import"
        ) from error
