"""Time a few steps of a stage's training, and keep nothing of it."""

import random
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from typing_extensions import override

from oaa_pl.callbacks.divergence import StopIfDiverged
from oaa_pl.callbacks.early_stop import StopAtEpochEnd, TimeLimit
from oaa_pl.callbacks.progress import StageProgress
from oaa_pl.callbacks.throughput import Throughput
from oaa_pl.stages.trained_stage import TrainedStage
from oaa_pl.training.trainer import make_trainer
from oaa_pl.training.trainer_plan import TrainerPlan

__all__ = ["Pace", "time_steps", "untouched"]

_STEPS = 10
_WARM_UP = 2  # steps that allocate memory and choose kernels; not counted
_SECONDS = 20.0  # a slow machine needs fewer than ten steps


class Pace(NamedTuple):
    """Seconds of one training step.

    Attributes:
        computing: forward, backward and update of a batch.
        loading: waiting for the batch, before the step.
    """

    computing: float
    loading: float


@contextmanager
def untouched() -> Iterator[None]:
    """Restore every random generator at the end of the block."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def time_steps(stage: TrainedStage, trainer: TrainerPlan, what: str) -> Pace:
    """Train a new network for ten steps or 20 seconds, and keep nothing of it.

    Args:
        stage: the stage. The trial has no pretrained weights, and constant targets.
        trainer: gives device and precision; the trial runs in one process.
        what: the stage's name.

    Returns:
        The median step.

    Raises:
        ConfigError: if the trainer's settings are invalid.
        KeyboardInterrupt: at Ctrl-C.
    """
    one = trainer.changed(devices=1, strategy="auto", accumulate_grad_batches=1)
    alone = replace(one, loggers={}, callbacks={})
    watch = _StopWatch()
    with untouched(), tempfile.TemporaryDirectory() as folder:
        module = stage.module(stage.net.unweighted.make(stage.classes))
        data = stage.loaders(trial=True)
        lightning, _ = make_trainer(
            alone, (None, _STEPS), f"timing {what}", Path(folder), [watch],
            seed=data.seed, alone=True, limit_val_batches=0,
        )  # fmt: skip
        # Remove these callbacks: the trial keeps nothing, stops inside an epoch, may diverge
        # without pretrained weights, and shows no loss.
        kept = (Checkpoint, StopAtEpochEnd, StopIfDiverged, StageProgress, Throughput, TimeLimit)
        callbacks: list[Callback] = lightning.callbacks  # type: ignore[attr-defined]  # set by its own
        callbacks[:] = [one for one in callbacks if not isinstance(one, kept)]
        try:
            lightning.fit(module, data)
        except SystemExit as leaving:  # Lightning leaves the process at Ctrl-C
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt(f"{what}: interrupted") from leaving
    return watch.pace


class _StopWatch(Callback):
    """Times each step and stops a slow trial."""

    def __init__(self) -> None:
        self.steps: list[Pace] = []
        self._begun = self._last = self._loaded = time.perf_counter()

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begun = self._last = time.perf_counter()

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int
    ) -> None:
        self._loaded = time.perf_counter()

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.steps.append(Pace(now - self._loaded, self._loaded - self._last))
        self._last = now
        if now - self._begun > _SECONDS and len(self.steps) > 1:
            trainer.should_stop = True

    @property
    def pace(self) -> Pace:
        """The median step after the warm-up."""
        counted = self.steps[min(_WARM_UP, len(self.steps) - 1) :]
        return Pace(*(statistics.median(part) for part in zip(*counted, strict=True)))
