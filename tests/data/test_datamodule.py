import multiprocessing
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.data.voc import VOC_CLASSES, VocSource
from oaa_pl.errors import BadImageError, ConfigError
from oaa_pl.types import Batch

WHOLE = [A.Resize(24, 24)]
RANDOM = [A.RandomResizedCrop((24, 24)), A.HorizontalFlip(p=0.5), A.ColorJitter(p=0.5)]


def build(root: Path, **changes: object) -> OaaDataModule:
    statistics = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    arguments = {
        "train": VocSource(root, "train"),
        "val": VocSource(root, "val"),
        "train_transform": ViewTransform(RANDOM, *statistics),
        "eval_transform": ViewTransform(WHOLE, *statistics),
        "batch_size": 3,
    }
    return OaaDataModule(**(arguments | changes))


def epochs(loader: torch.utils.data.DataLoader[Batch], count: int = 2) -> list[Batch]:
    batches = []
    for epoch in range(count):
        loader.sampler.set_epoch(epoch)
        batches += list(loader)
    return batches


def indices(batches: list[Batch]) -> list[int]:
    return torch.cat([batch["index"] for batch in batches]).tolist()


def same(some: list[Batch], others: list[Batch]) -> bool:
    return all(torch.equal(a[key], b[key]) for a, b in zip(some, others, strict=True) for key in a)


def test_training_shows_every_image_once_an_epoch(tiny_voc: Path) -> None:
    batches = epochs(build(tiny_voc).train_dataloader(), count=1)
    assert [len(batch["index"]) for batch in batches] == [3, 1]
    assert sorted(indices(batches)) == [0, 1, 2, 3]


def test_kept_photos_change_no_batch(tiny_voc: Path) -> None:
    read = epochs(build(tiny_voc).train_dataloader())
    for limit in (1, 256):
        assert same(read, epochs(build(tiny_voc, photo_memory=limit).train_dataloader()))


def test_training_reads_kept_photos_once(tiny_voc: Path) -> None:
    loader = build(tiny_voc, photo_memory=256).train_dataloader()
    read = epochs(loader)
    for path in (tiny_voc / "JPEGImages").iterdir():
        path.unlink()
    assert same(read, epochs(loader))


def test_processes_that_decode_keep_no_photos(tiny_voc: Path) -> None:
    loader = build(tiny_voc, photo_memory=256, num_workers=1).train_dataloader()
    epochs(loader, count=1)
    for path in (tiny_voc / "JPEGImages").iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(BadImageError):
        epochs(loader, count=1)


def test_training_may_read_as_listed(tiny_voc: Path) -> None:
    batches = epochs(build(tiny_voc, shuffle=False).train_dataloader())
    assert indices(batches) == [0, 1, 2, 3] * 2


def test_prediction_shows_the_training_images_whole_and_in_order(tiny_voc: Path) -> None:
    batches = list(build(tiny_voc, eval_batch_size=1).predict_dataloader())
    assert indices(batches) == [0, 1, 2, 3]
    identity = [[1, 0, 0], [0, 1, 0]]
    assert all(batch["view"].tolist() == [identity] for batch in batches)


def test_validation_shows_the_other_images(tiny_voc: Path) -> None:
    (batch,) = build(tiny_voc).val_dataloader()
    assert batch["index"].tolist() == [0, 1]
    assert batch["labels"].nonzero().tolist() == [[0, 7], [0, 11], [1, 14]]


def test_without_validation_images_there_is_no_loader(tiny_voc: Path) -> None:
    assert build(tiny_voc, val=None).val_dataloader() == []


def test_each_stage_adds_its_labels_to_training_only(tiny_voc: Path) -> None:
    soft = np.zeros((20, 4, 4), dtype=np.float32)
    hard = np.zeros((10, 10), dtype=np.uint8)
    data = build(tiny_voc, soft_labels=lambda _: soft, proxy_labels=lambda _: hard)
    assert {"soft_label", "target"} < set(next(iter(data.train_dataloader())))
    for loader in (data.val_dataloader(), data.predict_dataloader()):
        assert set(next(iter(loader))) == {"image", "labels", "index", "view", "repeat"}


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_see_what_one_process_sees(tiny_voc: Path, workers: int) -> None:
    alone = epochs(build(tiny_voc, seed=5).train_dataloader(), count=3)
    shared = epochs(build(tiny_voc, seed=5, num_workers=workers).train_dataloader(), count=3)
    assert same(alone, shared)
    assert not same(alone, epochs(build(tiny_voc, seed=6).train_dataloader(), count=3))


@pytest.mark.slow
def test_spawned_workers_see_it_too(tiny_voc: Path) -> None:
    loader = build(tiny_voc, num_workers=1).train_dataloader()
    loader.multiprocessing_context = multiprocessing.get_context("spawn")
    assert same(epochs(loader), epochs(build(tiny_voc).train_dataloader()))


def threads(_: object) -> dict[str, int]:
    """How many threads a loader's process computes with, in the place of a batch."""
    return {"opencv": cv2.getNumThreads(), "torch": torch.get_num_threads()}


@pytest.mark.parametrize("how", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_worker_computes_with_one_thread(tiny_voc: Path, how: str) -> None:
    loader = build(tiny_voc, num_workers=1).train_dataloader()
    loader.multiprocessing_context = multiprocessing.get_context(how)
    loader.collate_fn = threads
    assert next(iter(loader)) == {"opencv": 1, "torch": 1}


def test_a_resumed_epoch_is_the_epoch(tiny_voc: Path) -> None:
    whole = epochs(build(tiny_voc).train_dataloader(), count=3)
    loader = build(tiny_voc).train_dataloader()
    loader.sampler.set_epoch(2)
    assert same(whole[4:], list(loader))


def test_loading_leaves_the_global_generator_alone(tiny_voc: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    list(build(tiny_voc, num_workers=1).train_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_of_one_image_work(tiny_voc: Path) -> None:
    data = build(tiny_voc, batch_size=1)
    assert [len(batch["index"]) for batch in data.train_dataloader()] == [1, 1, 1, 1]


def test_a_worker_names_the_photo_that_it_cannot_read(tiny_voc: Path) -> None:
    data = build(tiny_voc, num_workers=1)
    path = tiny_voc / "JPEGImages" / "2007_000003.jpg"
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(BadImageError, match=r"2007_000003\.jpg is not a readable image"):
        list(data.train_dataloader())


class Recorder(LightningModule):
    """Trains nothing; keeps which images came in which epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[int, list[int], Tensor]] = []
        self.validated: list[int] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append((self.current_epoch, batch["index"].tolist(), batch["view"]))
        return self.weight.sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.validated += batch["index"].tolist()

    def predict_step(self, batch: Batch, batch_idx: int) -> list[int]:
        return batch["index"].tolist()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(root: Path) -> Trainer:
    return Trainer(
        default_root_dir=root,
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


# Lightning advises more workers, which four images would not repay.
@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.slow
def test_lightning_moves_the_sampler_from_epoch_to_epoch(tiny_voc: Path, tmp_path: Path) -> None:
    module, data = Recorder(), build(tiny_voc)
    trainer(tmp_path).fit(module, data)
    expected = epochs(build(tiny_voc).train_dataloader(), count=3)
    assert [epoch for epoch, _, _ in module.seen] == [0, 0, 1, 1, 2, 2]
    assert [images for _, images, _ in module.seen] == [b["index"].tolist() for b in expected]
    for (_, _, view), batch in zip(module.seen, expected, strict=True):
        assert torch.equal(view, batch["view"])
    assert module.validated[-2:] == [0, 1]


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_lightning_predicts_every_image_in_order(tiny_voc: Path, tmp_path: Path) -> None:
    predicted = trainer(tmp_path).predict(Recorder(), build(tiny_voc))
    assert predicted == [[0, 1, 2], [3]]


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_lightning_trains_without_validation_images(tiny_voc: Path, tmp_path: Path) -> None:
    module = Recorder()
    trainer(tmp_path).fit(module, build(tiny_voc, val=None))
    assert len(module.seen) == 6
    assert module.validated == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0"),
        ({"eval_batch_size": 0}, "eval_batch_size must be 1 or more, got 0"),
        ({"num_workers": -1}, "num_workers must be 0 or more, got -1"),
        ({"photo_memory": -1}, "photo_memory must be 0 or more, got -1"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_a_number_out_of_range_is_named(
    tiny_voc: Path, changes: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(tiny_voc, **changes)


def test_both_splits_must_have_the_same_classes(tiny_voc: Path) -> None:
    val = VocSource(tiny_voc, "val", classes=VOC_CLASSES[::-1], tags="annotations")
    with pytest.raises(ConfigError, match="give both the same list, in the same order"):
        build(tiny_voc, val=val)
