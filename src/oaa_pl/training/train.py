"""Train one stage: resume exactly, report an early end, and stop cleanly at Ctrl-C."""

import logging
import re
import signal
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.loggers.logger import Logger

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.data.class_counts import describe_classes
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.errors import ConfigError, OaaError
from oaa_pl.runs.record import StageRecord
from oaa_pl.training.length import Length
from oaa_pl.training.loggers import log_configuration
from oaa_pl.training.resume import Progress, progress_of, resume_point, set_aside_requeued
from oaa_pl.training.trainer import make_trainer
from oaa_pl.training.trainer_plan import TrainerPlan

__all__ = ["train"]

log = logging.getLogger(__name__)

# Lightning's warning for a checkpoint of an older version, where our callback had another name. The
# lost state is not needed: there is one checkpoint, in one place.
_OLD_CHECKPOINT = r"Be aware .* add the following callbacks: \[\"ModelCheckpoint\{[^}]*\}\"\]"


def train(
    record: StageRecord,
    plan: TrainerPlan,
    length: Length,
    what: str,
    module: LightningModule,
    data: OaaDataModule,
    callbacks: list[Callback],
    *,
    config: str,
    alone: bool,
    precision: Mapping[str, str],
    prepare: Callable[[], None] | None = None,
    **more: Any,
) -> bool:
    """Train, or continue training from the last checkpoint.

    Args:
        record: of the stage's folder, begun once the trainer accepts its settings.
        plan: settings of the run's trainings; its precision is one of Lightning's.
        length: of the training.
        what: the stage's name.
        module: what is trained.
        data: what it is trained on.
        callbacks: the stage's own.
        config: the resolved configuration as YAML, for the record.
        alone: whether this training is all that the command line does.
        precision: which one, and why, for the record.
        prepare: called once the folder is this process's, before training.
        **more: further arguments of the trainer.

    Returns:
        Whether this process continues after the training: under `ddp` only rank 0 does.

    Raises:
        KeyboardInterrupt: if the user pressed Ctrl-C, or a time limit was reached; the last
            checkpoint stays.
        ConfigError: if the trainer's settings or the length make no sense, or the checkpoint was
            saved inside an epoch.
        RunMismatchError: if the folder was made from something else.
        StoreError: if another process writes the folder.
        OaaError: if another process of the same training has stopped.
    """
    planned = length.planned(what)
    before = resume_point(record.folder, *planned)
    ended = _length_of(before, planned) if before is not None and before.stopped else planned
    more = {"limit_val_batches": 0, **more}
    trainer, loggers = make_trainer(
        plan, ended, what, record.folder, callbacks, seed=data.seed, alone=alone, **more
    )
    record.processes = trainer.world_size
    record.require_same()  # every process, or the others would wait for rank 0
    set_aside_requeued(record.folder)
    if trainer.is_global_zero:  # under `ddp` every process comes here
        record.begin(config, classes=list(data.train_set.source.classes), precision=precision)
        log.info("%s: %s", what, describe_classes(data.train_set.source))
        if prepare is not None:
            prepare()
    last = record.folder / LAST
    status = "failed"
    # Lightning exits the process at Ctrl-C; the command line must print its message first.
    try:
        log_configuration(loggers, config)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _OLD_CHECKPOINT)
            trainer.fit(module, data, ckpt_path=last if last.is_file() else None, weights_only=True)
        goes_on = bool(trainer.is_global_zero)
        _end(record, what, planned, report=goes_on)
        status = "success"
    except SystemExit as leaving:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt(f"{what}: interrupted") from leaving
    except MisconfigurationException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"trainer: {reason}") from error
    except RuntimeError as error:
        if str(error).startswith("Early stopping conditioned on"):
            raise ConfigError(f"callbacks: {' '.join(str(error).split())}") from error
        if trainer.world_size > 1 and re.search("[Cc]onnection (closed|reset)", str(error)):
            raise OaaError(
                f"{what}: another process of this training stopped; its own message says why"
            ) from error
        raise
    finally:
        _finalize(loggers, status)
        if torch.distributed.is_initialized():
            # The other processes exit now, so a later score must not wait for them.
            torch.distributed.destroy_process_group()
    return goes_on


def _finalize(loggers: Sequence[Logger], status: str) -> None:
    """Tell the loggers how the training ended."""
    for logger in loggers:
        logger.finalize(status)
    if "wandb" in sys.modules:  # it is imported only where it is used
        # Otherwise the next job of a sweep would log into this job's run.
        sys.modules["wandb"].finish(exit_code=0 if status == "success" else 1)


def _length_of(progress: Progress, planned: tuple[int | None, int]) -> tuple[int | None, int]:
    """The length of a training that was stopped before its plan, in the units of the plan."""
    return (None, progress.steps) if planned[0] is None else (progress.epochs, -1)


def _end(record: StageRecord, what: str, planned: tuple[int | None, int], *, report: bool) -> None:
    """Report a training that ended before its planned length, and keep that for `done.json`.

    Raises:
        KeyboardInterrupt: if a time limit ended it.
        OaaError: if no callback reports that it stopped the training.
    """
    progress = progress_of(record.folder)
    if progress is not None and progress.reached(*planned):
        return
    length = f"{planned[1]} steps" if planned[0] is None else f"{planned[0]} epochs"
    if progress is None or not progress.stopped_by:
        raise OaaError(
            f"{what}: the training ended before its {length}, and no callback says why; run the "
            "same command again to continue"
        )
    by = ", ".join(progress.stopped_by)
    said = f"{what}: stopped by {by} after {progress.epochs} epochs ({progress.steps} steps)"
    if progress.goes_on:
        if report:
            log.warning("%s of %s: the stage is not finished", said, length)
        raise KeyboardInterrupt(said)
    if report:
        log.warning("%s, planned were %s: the stage counts as finished", said, length)
    record.add(
        stopped={
            "by": list(progress.stopped_by),
            "epochs": progress.epochs,
            "steps": progress.steps,
            "planned": length,
        }
    )
