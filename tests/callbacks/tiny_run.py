"""A classifier's training with every callback that a real one has, small enough for a test.

`python -m tests.callbacks.tiny_run FOLDER HOOK EPOCH` kills itself with SIGKILL when it gets there.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import LearningRateMonitor
from tests.modules.tiny import OPTIMIZER, SCHEDULE, TinyNet, quiet_trainer

from oaa_pl.attention.gate import accept_all
from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.callbacks.checkpoint import AtomicCheckpointIO
from oaa_pl.callbacks.epoch_checkpoint import EpochCheckpoint
from oaa_pl.callbacks.epoch_seed import EpochSeed
from oaa_pl.callbacks.growth import AttentionGrowth
from oaa_pl.callbacks.history import HistoryLogger
from oaa_pl.callbacks.progress import StageProgress
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.callbacks.throughput import Throughput
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.modules.classifier import Classifier
from oaa_pl.store.fresh import clear_maps
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore

EPOCHS = 4
THREADED = (
    "OAA_PL_TEST_WRITER_THREAD"  # set: a thread writes the stores, in child processes as well
)
STATISTICS = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
FUSIONS = {"most": "maximum", "mean": "running_mean"}


class NoiseSource:
    """Seven photos of noise with one to three of three classes each, drawn anew at every look."""

    name, split, has_masks = "noise", "train", False
    classes: tuple[str, ...] = ("cat", "dog", "cow")
    ids = tuple("abcdefg")
    labels = np.array(
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [1, 1, 1], [0, 1, 1]], np.uint8
    )

    def photo(self, index: int) -> np.ndarray:
        return np.random.default_rng(index).integers(0, 256, (20, 24, 3), dtype=np.uint8)

    def mask(self, index: int) -> np.ndarray:
        raise NotImplementedError

    def photo_path(self, index: int) -> Path:
        raise NotImplementedError


class At(Callback):
    """Calls something when a hook is reached in an epoch; a batch hook in its second batch."""

    def __init__(self, hook: str, epoch: int, what: Callable[[], None]) -> None:
        def reached(trainer: Trainer, *arguments: Any) -> None:
            batch_idx = arguments[-1] if "batch" in hook else 1
            if trainer.current_epoch == epoch and batch_idx == 1:
                what()

        setattr(self, hook, reached)


def pairs() -> Pairs:
    source = NoiseSource()
    return Pairs(source.ids, source.classes, source.labels.astype(bool))


def open_store(
    path: Path, fusion: str, rank: int = 0, world_size: int = 1, **how: bool
) -> MemmapStore:
    header = Header(pairs().classes, pairs().fingerprint, (5, 6), fusion, gate="accept_all")
    return MemmapStore(path, header, pairs(), rank, world_size, **how)


def accumulation(folder: Path, **settings: Any) -> AttentionAccumulation:
    openers = {
        name: partial(open_store, folder / "stores" / name, fusion)
        for name, fusion in FUSIONS.items()
    }
    usual = {"gate": accept_all, "writer_thread": THREADED in os.environ or None}
    return AttentionAccumulation(openers, **(usual | settings))


def data(workers: int = 0, seed: int = 3) -> OaaDataModule:
    source = NoiseSource()
    augmented = ViewTransform(
        [A.RandomResizedCrop((12, 12), scale=(0.4, 1.0)), A.HorizontalFlip(p=0.5)], *STATISTICS
    )
    whole = ViewTransform([A.Resize(12, 12)], *STATISTICS)
    return OaaDataModule(source, source, augmented, whole, 2, num_workers=workers, seed=seed)


def train(
    folder: Path,
    *extra: Callback,
    epochs: int = EPOCHS,
    checkpoint_io: AtomicCheckpointIO | None = None,
    workers: int = 0,
    data_seed: int = 3,
    how: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Trainer:
    """Train, or go on training from `last.ckpt`; `extra` come before the others.

    `how` to accumulate, as arguments of the callback; `settings` are the trainer's.

    Without a checkpoint the stores are removed first, as `oaa fit` does.
    """
    torch.manual_seed(int.from_bytes(os.urandom(4)))  # nothing may depend on it
    if not (folder / LAST).is_file():
        clear_maps(folder / "stores")
    accumulate = accumulation(folder, **(how or {}))
    history = HistoryLogger(folder)
    trainer = quiet_trainer(
        folder,
        max_epochs=None if "max_steps" in settings else epochs,
        enable_checkpointing=True,
        logger=history,
        log_every_n_steps=1,
        callbacks=[
            *extra,
            accumulate,
            AttentionGrowth(accumulate, [0, 5], folder / "growth", "most"),
            EpochSeed(11),
            Throughput(),
            StageProgress("classifier"),
            LearningRateMonitor("epoch"),
            EpochCheckpoint(folder),
        ],
        plugins=[checkpoint_io or AtomicCheckpointIO()],
        **settings,
    )
    module = Classifier(TinyNet(), OPTIMIZER, SCHEDULE, 3)
    last = folder / LAST
    resumed = last if last.is_file() else None
    trainer.fit(module, data(workers, data_seed), ckpt_path=resumed, weights_only=True)
    return trainer


if __name__ == "__main__":
    torch.set_num_threads(1)
    place, when, at = sys.argv[1:]

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if when == "replace":  # after the commit, before the checkpoint has its name
        real = Path.replace

        def replace(self: Path, target: Any) -> Path:
            if Path(target).name == LAST and sum(1 for _ in Path(place).glob("growth/*")) > int(at):
                die()
            return real(self, target)

        Path.replace = replace  # type: ignore[assignment, method-assign]
        train(Path(place))
    train(Path(place), At(when, int(at), die))
