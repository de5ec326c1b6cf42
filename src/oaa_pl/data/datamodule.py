"""The LightningDataModule of all stages: classifier, integral model and segmenter."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader
from typing_extensions import override

from oaa_pl.data.dataset import PhotoDataset, Samples, collate
from oaa_pl.data.sampler import EpochSampler
from oaa_pl.data.source import Source
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.errors import ConfigError
from oaa_pl.types import Batch

__all__ = ["OaaDataModule"]


class OaaDataModule(LightningDataModule):
    """Batches (`oaa_pl.types.Batch`) for every stage. Stages differ only in the added fields.

    | loader | source | order | adds |
    |---|---|---|---|
    | `train_dataloader` | train | shuffled, new each epoch | `soft_label`, `target` if given |
    | `val_dataloader` | val | as listed | `target` if given |
    | `predict_dataloader` | train | as listed | nothing |

    Every image appears once per epoch; the last batch may be smaller. Several processes each read
    their share. If the images do not divide evenly, a few appear twice, marked `repeat`. Use
    `Trainer(use_distributed_sampler=False)`: the loaders split the images themselves, and
    Lightning's sampler would lose the epoch and the marks.

    Args:
        train: photos and tags to train on, and to make attention and proxy labels for.
        val: photos and tags to validate on; None: no validation.
        train_transform: augmentation for training.
        eval_transform: for validation and prediction: the whole photo at one size.
        batch_size: per process, 1 or more.
        num_workers: processes that decode photos; 0: the training process decodes them.
        seed: of order and augmentation, 0 or more.
        soft_labels: index in `train` to cumulative attention, (C, h, w) in [0, 1]: integral stage.
        proxy_labels: index in `train` to label map, (H, W) in {0..C, 255}: segmenter stage.
        val_labels: index in `val` to label map, to validate a segmenter.
        eval_batch_size: per process; None: `batch_size`.
        shuffle: whether training draws a new order every epoch; otherwise the order of the list.
        photo_memory: MB of resized training photos that the training process keeps for later
            epochs. Other processes (`num_workers`) keep none.

    Raises:
        ConfigError: if a number is out of range, or `train` and `val` differ in their classes.
    """

    def __init__(
        self,
        train: Source,
        val: Source | None,
        train_transform: ViewTransform,
        eval_transform: ViewTransform,
        batch_size: int,
        num_workers: int = 0,
        seed: int = 0,
        soft_labels: Callable[[int], NDArray[np.float32]] | None = None,
        proxy_labels: Callable[[int], NDArray[np.uint8]] | None = None,
        eval_batch_size: int | None = None,
        shuffle: bool = True,
        val_labels: Callable[[int], NDArray[np.uint8]] | None = None,
        photo_memory: int = 0,
    ) -> None:
        super().__init__()
        eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("num_workers", num_workers, 0),
            ("photo_memory", photo_memory, 0),
        ):
            if value < least:
                raise ConfigError(f"{name} must be {least} or more, got {value}")
        if val is not None and val.classes != train.classes:
            raise ConfigError(
                f"train has the classes {', '.join(train.classes)} but val has "
                f"{', '.join(val.classes)}: give both the same list, in the same order"
            )
        # A forked worker inherits OpenCV's pool without its threads, and would wait for them
        # forever. Also, several workers with a pool each would compete for the cores.
        cv2.setNumThreads(1)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.shuffle = shuffle
        self.train_set: Samples = PhotoDataset(
            train, train_transform, seed, soft_labels, proxy_labels,
            photo_memory=0 if num_workers else photo_memory * 10**6,
        )  # fmt: skip
        self.val_set = (
            None
            if val is None
            else PhotoDataset(val, eval_transform, seed, proxy_labels=val_labels)
        )
        self.predict_set = PhotoDataset(train, eval_transform, seed)

    @override
    def setup(self, stage: str) -> None:
        # Tell Lightning not to validate. A hook that returns no loader would cause a warning.
        if self.val_set is None and self.trainer is not None:
            self.trainer.limit_val_batches = 0

    @override
    def train_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.train_set, self.batch_size, self.shuffle)

    @override
    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        if self.val_set is None:
            return []
        return self._loader(self.val_set, self.eval_batch_size, shuffle=False)

    @override
    def predict_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.predict_set, self.eval_batch_size, shuffle=False)

    @override
    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        # Callbacks read the places on the host, and would wait for a GPU to tell them.
        index = batch["index"]
        return {**super().transfer_batch_to_device(batch, device, dataloader_idx), "index": index}

    def _loader(self, dataset: Samples, batch_size: int, shuffle: bool) -> DataLoader[Batch]:
        rank = self.trainer.global_rank if self.trainer is not None else 0
        world_size = self.trainer.world_size if self.trainer is not None else 1
        sampler: Any = EpochSampler(len(dataset), self.seed, shuffle, rank, world_size)
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=collate,
            worker_init_fn=_one_thread,
            pin_memory=torch.cuda.is_available(),
            # Workers can stay alive between epochs, because each draw carries its epoch.
            persistent_workers=self.num_workers > 0,
            # A loader draws a number for its workers at each start. With the global generator, a
            # resumed run, which starts its loaders again, would draw other dropout.
            generator=torch.Generator().manual_seed(self.seed),
        )


def _one_thread(_worker: int) -> None:
    """Set up a loader's process. torch uses one thread there anyway, OpenCV one per core."""
    # A forked process inherits this. A spawned one, as on macOS, does not.
    cv2.setNumThreads(1)
