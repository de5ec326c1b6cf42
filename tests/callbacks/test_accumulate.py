import math
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from tests.callbacks.tiny_run import (
    EPOCHS,
    FUSIONS,
    At,
    accumulation,
    data,
    open_store,
    pairs,
    train,
)
from tests.modules.tiny import OPTIMIZER, SCHEDULE, TinyNet, loader, quiet_trainer
from torch import Tensor

from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.callbacks.checkpoint import AtomicCheckpointIO
from oaa_pl.callbacks.epoch_checkpoint import EpochCheckpoint
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.errors import ConfigError, StoreMismatchError, StoreNotEmptyError
from oaa_pl.modules.classifier import Classifier
from oaa_pl.store.generation import committed
from oaa_pl.store.layout import ORIGIN_FALLBACK, ORIGIN_NONE
from oaa_pl.store.reader import StoreReader
from oaa_pl.types import Batch

IMAGES = len(pairs().ids)


def fit(folder: Path, callback: AttentionAccumulation, **settings: Any) -> Classifier:
    module = Classifier(TinyNet(dropout=0), OPTIMIZER, SCHEDULE, 3)
    quiet_trainer(folder, callbacks=[callback], **settings).fit(module, data())
    return module


class Watched(AttentionAccumulation):
    """Notes the stores' updates at the end of the training."""

    def on_train_end(self, *arguments: Any) -> None:
        self.updates = {name: store.rows["updates"].copy() for name, store in self.stores.items()}
        self.rows = {name: store.rows.copy() for name, store in self.stores.items()}


def watched(folder: Path, **settings: Any) -> Watched:
    plain = accumulation(folder)
    return Watched(plain.open_stores, **({"gate": plain.gate} | settings))


def always_positive(score_map: Tensor) -> Tensor:
    return score_map.sigmoid()


@pytest.mark.parametrize("accumulate_grad_batches", [1, 3])
def test_every_image_is_fused_once_an_epoch_whatever_the_optimiser_does(
    tmp_path: Path, accumulate_grad_batches: int
) -> None:
    callback = watched(tmp_path, to_attention=always_positive)
    fit(tmp_path, callback, max_epochs=3, accumulate_grad_batches=accumulate_grad_batches)
    for updates in callback.updates.values():
        assert updates.tolist() == [3] * int(pairs().labels.sum())


@pytest.mark.parametrize("first_epoch", [0, 1, 3])
def test_epochs_before_the_first_are_not_accumulated(tmp_path: Path, first_epoch: int) -> None:
    callback = watched(tmp_path, to_attention=always_positive, first_epoch=first_epoch)
    fit(tmp_path, callback, max_epochs=3)
    assert set(callback.updates["mean"].tolist()) == {3 - first_epoch}


def test_each_row_keeps_the_last_epoch_that_it_was_fused_in(tmp_path: Path) -> None:
    callback = watched(tmp_path, to_attention=always_positive)
    fit(tmp_path, callback, max_epochs=3)
    assert set(callback.rows["mean"]["last_epoch"].tolist()) == {2}


@pytest.mark.parametrize(
    ("epoch", "origin"), [(1, ORIGIN_FALLBACK), (7, ORIGIN_NONE), (None, ORIGIN_NONE)]
)
def test_rejected_maps_are_filled_in_in_that_epoch_alone(
    tmp_path: Path, epoch: int | None, origin: int
) -> None:
    callback = watched(
        tmp_path,
        to_attention=always_positive,
        gate=lambda scores, labels: torch.zeros_like(labels),  # rejects every map
        fill_in_epoch=epoch,
    )
    fit(tmp_path, callback, max_epochs=3)
    for rows in callback.rows.values():
        assert set(rows["origin"].tolist()) == {origin}
        if epoch == 1:
            assert set(rows["last_epoch"].tolist()) == {1}


def test_accumulating_never_changes_the_training(tmp_path: Path) -> None:
    with_stores = fit(tmp_path, accumulation(tmp_path), max_epochs=2)
    without = fit(tmp_path, AttentionAccumulation({}), max_epochs=2)
    for one, other in zip(with_stores.parameters(), without.parameters(), strict=True):
        assert torch.equal(one, other)


def test_one_run_feeds_a_maximum_and_a_mean_of_the_same_maps(tmp_path: Path) -> None:
    train(tmp_path)
    most, mean = (StoreReader(tmp_path / "stores" / name) for name in FUSIONS)
    assert most.rows["updates"].tolist() == mean.rows["updates"].tolist()
    for image in range(IMAGES):
        assert (most.maps(image).attention >= mean.maps(image).attention - 1e-3).all()


def test_the_accepted_fraction_is_logged(tmp_path: Path) -> None:
    callback = accumulation(tmp_path, to_attention=always_positive)
    trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[callback])
    trainer.fit(Classifier(TinyNet(), OPTIMIZER, SCHEDULE, 3), data())
    assert float(trainer.callback_metrics["oaa/accepted"]) == 1

    def nothing(scores: Tensor, labels: Tensor) -> Tensor:
        return torch.zeros_like(labels)

    callback = accumulation(tmp_path / "none", gate=nothing)
    trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[callback])
    trainer.fit(Classifier(TinyNet(), OPTIMIZER, SCHEDULE, 3), data())
    assert float(trainer.callback_metrics["oaa/accepted"]) == 0


def test_padding_repeats_count_once(tmp_path: Path) -> None:
    callback = watched(tmp_path, to_attention=always_positive)
    batches: Any = [{**batch, "repeat": torch.ones_like(batch["repeat"])} for batch in loader()]
    module = Classifier(TinyNet(), OPTIMIZER, SCHEDULE, 3)
    trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[callback], limit_val_batches=0)
    trainer.fit(module, torch.utils.data.DataLoader(batches, batch_size=None), loader())
    assert not callback.updates["mean"].any()


def test_a_network_that_diverges_leaves_the_stores_finite(tmp_path: Path) -> None:
    module = Classifier(TinyNet(), OPTIMIZER, SCHEDULE, 3)
    with torch.no_grad():
        module.net.get_parameter("head.bias").fill_(math.nan)
    callback = watched(tmp_path)
    trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[callback], limit_val_batches=0)
    trainer.fit(module, data())
    assert not callback.updates["most"].any()


class Silent(LightningModule):
    """A module whose step returns no score map."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.weight * 1}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_module_that_returns_no_score_map_is_told_so(tmp_path: Path) -> None:
    trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[accumulation(tmp_path)])
    message = r"Silent\.training_step must return 'score_map'.*it returned \['loss'\]"
    with pytest.raises(ConfigError, match=message):
        trainer.fit(Silent(), loader())


def test_a_negative_first_epoch_is_refused() -> None:
    with pytest.raises(ConfigError, match="first_epoch must be 0 or more, got -1"):
        AttentionAccumulation({}, first_epoch=-1)


def test_after_an_error_and_after_the_end_the_stores_are_free(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("as planned")

    with pytest.raises(ValueError, match="as planned"):
        train(tmp_path, At("on_train_batch_end", 0, fail))
    for name, fusion in FUSIONS.items():
        open_store(tmp_path / "stores" / name, fusion, resume=True).close()
    train(tmp_path)
    for name, fusion in FUSIONS.items():
        open_store(tmp_path / "stores" / name, fusion, resume=True).close()


def test_a_training_that_resumes_nothing_does_not_empty_a_store(tmp_path: Path) -> None:
    fit(tmp_path, watched(tmp_path, to_attention=always_positive), max_epochs=2)
    before = {name: (tmp_path / "stores" / name / "generations") for name in FUSIONS}
    files = {path: path.read_bytes() for root in before.values() for path in root.rglob("*.npy")}
    for module in (TinyNet(dropout=0), Silent()):  # whatever becomes of the training
        again = watched(tmp_path, to_attention=always_positive)
        trainer = quiet_trainer(tmp_path, callbacks=[again], max_epochs=1)
        with pytest.raises(StoreNotEmptyError, match=r"holds 12 .*ckpt_path.*overwrite=True"):
            trainer.fit(Classifier(module, OPTIMIZER, SCHEDULE, 3), data())
    assert {path: path.read_bytes() for path in files} == files


def test_overwriting_begins_anew_and_loses_nothing_before_the_first_epoch(tmp_path: Path) -> None:
    fit(tmp_path, watched(tmp_path, to_attention=always_positive), max_epochs=2)
    trainer = quiet_trainer(tmp_path, callbacks=[watched(tmp_path, overwrite=True)], max_epochs=1)
    with pytest.raises(ConfigError, match="must return 'score_map'"):
        trainer.fit(Silent(), loader())
    for name in FUSIONS:
        assert StoreReader(tmp_path / "stores" / name).rows["updates"].max() == 2
    fit(tmp_path, watched(tmp_path, to_attention=always_positive, overwrite=True), max_epochs=1)
    for name in FUSIONS:
        assert StoreReader(tmp_path / "stores" / name).rows["updates"].max() == 1
        assert len(committed(tmp_path / "stores" / name)) == 1


def test_a_checkpoint_of_other_stores_is_refused(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    only = AttentionAccumulation({"most": accumulation(tmp_path).open_stores["most"]})
    callbacks = [only, EpochCheckpoint(tmp_path)]
    trainer = quiet_trainer(tmp_path, max_epochs=2, enable_checkpointing=True, callbacks=callbacks)
    message = r"accumulated into \['mean', 'most'\], this run into \['most'\]"
    with pytest.raises(StoreMismatchError, match=message):
        trainer.fit(
            Classifier(TinyNet(), OPTIMIZER, SCHEDULE, 3), data(), ckpt_path=tmp_path / LAST
        )


class Ranked(AtomicCheckpointIO):
    """Keeps every checkpoint's generations."""

    def __init__(self) -> None:
        self.named: list[dict[str, list[Any]]] = []

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        self.named.append(checkpoint["oaa_generations"])
        super().save_checkpoint(checkpoint, path, storage_options)


def test_each_epoch_commits_one_generation_before_its_checkpoint(tmp_path: Path) -> None:
    keeper = Ranked()
    train(tmp_path, checkpoint_io=keeper)
    numbers = [{name: named[0] for name, named in one.items()} for one in keeper.named]
    assert numbers == [dict.fromkeys(FUSIONS, epoch + 1) for epoch in range(EPOCHS)]


def store_generations(folder: Path) -> list[int]:
    return committed(folder / "stores" / "mean")


class Every(ModelCheckpoint):
    """Another one beside that of `last.ckpt`; Lightning tells them apart by their class."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(folder, "{epoch}", save_top_k=-1, **settings)


def test_generations_go_with_the_checkpoints_that_need_them(tmp_path: Path) -> None:
    """Two checkpoints are kept here, of epochs that are not the newest."""
    best = ModelCheckpoint(
        tmp_path / "best", "{epoch}", monitor="score", mode="max", save_top_k=2,
        save_on_train_epoch_end=True,
    )  # fmt: skip
    scores = iter((1.0, 5.0, 4.0, 0.0, 6.0, 3.0, 2.0))

    class Score(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            pl_module.log("score", next(scores))

    train(tmp_path, Score(), best, epochs=7)
    kept = sorted(file.name for file in (tmp_path / "best").iterdir())
    assert kept == ["epoch=1.ckpt", "epoch=4.ckpt"]
    assert store_generations(tmp_path) == [2, 5, 6, 7]  # 6 was named by last.ckpt until just now


def test_two_checkpoints_of_one_moment_name_one_generation(tmp_path: Path) -> None:
    keeper = Ranked()
    train(tmp_path, Every(tmp_path / "all"), checkpoint_io=keeper)
    assert len(keeper.named) == 2 * EPOCHS
    assert [one["mean"][0] for one in keeper.named] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert store_generations(tmp_path) == [1, 2, 3, 4]


def test_going_back_leaves_the_checkpoints_that_came_later_alone(tmp_path: Path) -> None:
    train(tmp_path, Every(tmp_path / "all"), epochs=2)
    copy(tmp_path / "all" / "epoch=1.ckpt", tmp_path / "later.ckpt")
    later = StoreReader(tmp_path / "stores" / "mean", 2).rows.tobytes()
    # Back to the first epoch; the second becomes another one, as its order is drawn anew.
    copy(tmp_path / "all" / "epoch=0.ckpt", tmp_path / LAST)
    train(tmp_path, Every(tmp_path / "all"), epochs=2, data_seed=4)
    assert store_generations(tmp_path) == [1, 2, 3]
    assert StoreReader(tmp_path / "stores" / "mean", 2).rows.tobytes() == later
    copy(tmp_path / "later.ckpt", tmp_path / LAST)
    train(tmp_path, Every(tmp_path / "all"), epochs=3)
    assert StoreReader(tmp_path / "stores" / "mean").rows["updates"].max() == 3


def test_a_checkpoint_that_cannot_be_read_keeps_every_generation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path, epochs=1)
    (tmp_path / "copy.ckpt").write_bytes(b"half of it")
    train(tmp_path, epochs=5)
    assert store_generations(tmp_path) == [1, 2, 3, 4, 5]
    assert caplog.text.count("copy.ckpt is not a readable checkpoint") == len(FUSIONS)


def test_a_training_whose_last_step_lies_in_an_epoch_may_be_looked_at_again(tmp_path: Path) -> None:
    train(tmp_path, max_steps=6)
    before = StoreReader(tmp_path / "stores" / "mean").rows.tobytes()
    assert train(tmp_path, max_steps=6).global_step == 6
    assert StoreReader(tmp_path / "stores" / "mean").rows.tobytes() == before
    with pytest.raises(ConfigError, match="saved in the middle of an epoch"):
        train(tmp_path, max_steps=8)


def test_a_checkpoint_in_the_middle_of_an_epoch_cannot_be_resumed(tmp_path: Path) -> None:
    train(tmp_path, Every(tmp_path / "mid", every_n_train_steps=3), epochs=1)
    (middle,) = (tmp_path / "mid").iterdir()
    copy(middle, tmp_path / LAST)
    with pytest.raises(ConfigError, match="saved in the middle of an epoch"):
        train(tmp_path, Every(tmp_path / "mid", every_n_train_steps=3), epochs=2)
