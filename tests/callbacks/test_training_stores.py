"""An `AttentionStore` in a training: the rules for maps that lie there already, by name."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from oaa_pl import AttentionAccumulation, AttentionStore, accumulate
from oaa_pl.attention.gate import accept_all
from oaa_pl.callbacks.generations import GENERATIONS
from oaa_pl.callbacks.training_stores import openers_of
from oaa_pl.errors import ConfigError, StoreError, StoreNotEmptyError
from oaa_pl.store.generation import committed, seal_of
from oaa_pl.store.memmap import MemmapStore

IDS, CLASSES = ["a", "b"], ["cat", "dog"]
LABELS = torch.tensor([[1, 0], [1, 1]])


class Photos(Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return len(IDS)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": torch.ones(3, 8, 8), "labels": LABELS[index].float(), "index": index}


class Classifier(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Conv2d(3, 2, 1)

    def training_step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        score_map = self.net(batch["image"])
        return {"loss": score_map.mean(), "score_map": score_map.detach().abs() + 0.1}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def store_in(folder: Path, **how: Any) -> AttentionStore:
    return AttentionStore(folder / "maps", IDS, CLASSES, LABELS, grid=(4, 4), **how)


def fit(folder: Path, store: Any, *, epochs: int = 2, ckpt: Path | None = None) -> Path:
    """Train, and save a checkpoint at the end; its path."""
    trainer = Trainer(
        callbacks=[AttentionAccumulation(store, gate=accept_all)], max_epochs=epochs, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        accelerator="cpu", default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(Classifier(), DataLoader(Photos()), ckpt_path=ckpt)
    saved = folder / f"{epochs}.ckpt"
    trainer.save_checkpoint(saved)
    return saved


def updates(folder: Path) -> list[int]:
    return [one.updates for one in store_in(folder).records()]


def test_the_same_object_is_trained_into_and_read_afterwards(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    fit(tmp_path, store)
    assert store["b", "dog"].shape == (4, 4)
    assert [one.updates for one in store.records()] == [2, 2, 2]
    assert store.missing() == []


def test_a_second_training_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    fit(tmp_path, store_in(tmp_path))
    with pytest.raises(StoreNotEmptyError, match=r"ckpt_path=.*resume=True.*overwrite=True"):
        fit(tmp_path, store_in(tmp_path))
    assert updates(tmp_path) == [2, 2, 2]


def test_a_training_goes_on_with_its_checkpoint_whatever_the_store_was_opened_for(
    tmp_path: Path,
) -> None:
    for number, how in enumerate(({}, {"resume": True}, {"overwrite": True})):
        folder = tmp_path / str(number)
        first = fit(folder, store_in(folder, **how))
        fit(folder, store_in(folder, **how), epochs=3, ckpt=first)
        assert updates(folder) == [3, 3, 3]


def test_a_store_opened_with_overwrite_starts_without_maps(tmp_path: Path) -> None:
    fit(tmp_path, store_in(tmp_path))
    fit(tmp_path, store_in(tmp_path, overwrite=True), epochs=1)
    assert updates(tmp_path) == [1, 1, 1]


def test_a_store_opened_with_resume_adds_to_its_maps_and_checkpoints_name_them(
    tmp_path: Path,
) -> None:
    fit(tmp_path, store_in(tmp_path))
    before = committed(tmp_path / "maps")[-1]
    saved = fit(tmp_path, store_in(tmp_path, resume=True), epochs=0)
    assert updates(tmp_path) == [2, 2, 2]
    # No batch was seen, so nothing was committed: the maps of the first training are named.
    named = torch.load(saved, weights_only=True)[GENERATIONS]["maps"]
    assert named == [before, seal_of(tmp_path / "maps", before)]
    fit(tmp_path, store_in(tmp_path, resume=True), epochs=1)
    assert updates(tmp_path) == [3, 3, 3]


def test_a_store_that_is_open_for_writing_is_not_trained_into(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    accumulate(store, torch.ones(2, 2, 4, 4), LABELS, torch.arange(2))
    with pytest.raises(StoreError, match="written by this very process; close it first"):
        fit(tmp_path, store)
    store.close()


def test_several_stores_are_told_apart_by_name(tmp_path: Path) -> None:
    stores = {
        name: AttentionStore(tmp_path / name, IDS, CLASSES, LABELS, fusion=name)
        for name in ("maximum", "running_mean")
    }
    fit(tmp_path, stores)
    for name, store in stores.items():
        assert [one.updates for one in store.records()] == [2, 2, 2], name


@pytest.mark.parametrize("one", ["maps", Path("maps"), None, 3])
def test_what_is_no_store_is_refused_by_name(one: Any) -> None:
    with pytest.raises(ConfigError, match=r"store 'maps' must be an AttentionStore, got .*give"):
        openers_of(one)


def test_an_open_writer_is_no_store_to_train_into(tmp_path: Path) -> None:
    with store_in(tmp_path) as store, pytest.raises(ConfigError, match="got MemmapStore"):
        openers_of({"mine": store.writer()})
    assert openers_of({"mine": MemmapStore}) == {"mine": MemmapStore}
