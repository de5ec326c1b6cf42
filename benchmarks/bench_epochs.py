"""What accumulation costs a whole epoch: photos are read, the store is committed."""

import time
from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
from conftest import Bench
from runs import LITE, SMALL, composed

from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.stages.classifier import ClassifierStage
from oaa_pl.store.layout import Header
from oaa_pl.store.memmap import MemmapStore


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize(
    ("name", "number", "sought", "more"),
    [
        ("small network, 96 px", 96, "<= 1.05", SMALL),
        ("EfficientNet-Lite0, 224 px", 24, "<= 1.02", LITE),
    ],
)
def test_an_epoch_with_accumulation(
    bench: Bench, tmp_path: Path, name: str, number: int, sought: str, more: tuple[str, ...]
) -> None:
    stage = composed(tmp_path, number, *more).classifier()
    epoch = partial(train_epoch, stage, stage.module(stage.net.make(stage.classes)))
    bench.ratio(
        f"whole epoch with accumulation over without, {name}", sought,
        partial(epoch, tmp_path / "store"), partial(epoch, None),
        f"{number} JPEG photos of 500 px, one thread: decoding, training, store's commit",
    )  # fmt: skip


def train_epoch(stage: ClassifierStage, module: pl.LightningModule, place: Path | None) -> None:
    """An epoch of a classifier; its attention is accumulated in a store at `place`, if given."""
    callbacks: list[pl.Callback] = []
    if place is not None:
        pairs = stage.pairs
        header = Header(pairs.classes, pairs.fingerprint, stage.grid, "maximum")
        opener = partial(MemmapStore, place, header, pairs)
        callbacks = [AttentionAccumulation({"oaa_max": opener}, overwrite=True)]
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, callbacks=callbacks, logger=False, limit_val_batches=0,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module, stage.loaders())
