"""A few steps of a stage's training, timed and thrown away."""

import random
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from typing_extensions import override

from oaa_pl.callbacks.divergence import StopIfDiverged
from oaa_pl.callbacks.early_stop import StopAtEpochEnd, TimeLimit
from oaa_pl.callbacks.progress import StageProgress
from oaa_pl.callbacks.throughput import Throughput
from oaa_pl.config.compose import overridden
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.training.trainer import make_trainer

__all__ = ["Pace", "time_steps", "untouched"]

_STEPS = 10
_WARM_UP = 2  # steps that allocate and choose kernels; one of a slow machine's two
_SECONDS = 20.0  # a slow machine needs no ten steps to be known


class Pace(NamedTuple):
    """Seconds of one training step.

    Attributes:
        computing: forward, backward and update of a batch.
        loading: what the step waits for its batch before.
    """

    computing: float
    loading: float


@contextmanager
def untouched() -> Iterator[None]:
    """Leave every random generator as it was, whatever is drawn inside."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def time_steps(
    cfg: DictConfig,
    stage: DictConfig,
    what: str,
    make: Callable[[], tuple[LightningModule, OaaDataModule]],
) -> Pace:
    """Train a fresh network for ten steps or 20 seconds, and forget it.

    Args:
        cfg: the configuration; its trainer's device and precision are used, one process of it.
        stage: the stage's part of it.
        what: the stage's name.
        make: the network, which needs no weights, and the stage's data.

    Returns:
        The median step.

    Raises:
        ConfigError: if the trainer's configuration makes no sense.
        KeyboardInterrupt: if somebody pressed Ctrl-C.
    """
    one = {"devices": 1, "strategy": "auto", "accumulate_grad_batches": 1}
    cfg = overridden(cfg, {"trainer": one, "logger": None, "callbacks": None})
    stage = overridden(stage, {"epochs": None, "steps": _STEPS})
    watch = _StopWatch()
    with untouched(), tempfile.TemporaryDirectory() as folder:
        module, data = make()
        trainer, _ = make_trainer(
            cfg, stage, f"timing {what}", Path(folder), [watch], alone=True, limit_val_batches=0
        )
        # Nothing is kept, a network without weights may diverge, and the trial stops inside an
        # epoch: none of these is asked here, nor is a loss shown.
        kept = (Checkpoint, StopAtEpochEnd, StopIfDiverged, StageProgress, Throughput, TimeLimit)
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by its own
        callbacks[:] = [one for one in callbacks if not isinstance(one, kept)]
        try:
            trainer.fit(module, data)
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
        """The median step behind the warm-up."""
        counted = self.steps[min(_WARM_UP, len(self.steps) - 1) :]
        return Pace(*(statistics.median(part) for part in zip(*counted, strict=True)))
