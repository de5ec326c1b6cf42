"""Samples of every stage: a source and a transform.

Shapes: B images, C foreground classes, H x W pixels of the network's input, h x w grid cells.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, default_collate
from typing_extensions import override

from oaa_pl.data.photo_memory import PhotoMemory
from oaa_pl.data.source import Source
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.errors import ConfigError
from oaa_pl.types import Batch, Draw

__all__ = ["PhotoDataset", "Samples", "collate"]


class Samples(Dataset[Batch]):
    """What a loader reads: one sample per draw, of the images of a source.

    Attributes:
        source: photos and tags.
    """

    source: Source

    def __len__(self) -> int:
        return len(self.source.ids)


class PhotoDataset(Samples):
    """One sample per draw, a pure function of (seed, epoch, index).

    So a sample is the same in any worker process, after any resumption and on any rank. It never
    opens true masks: `soft_labels` and `proxy_labels` give the targets beyond tags.

    Args:
        source: photos and tags.
        transform: augmentation of a photo.
        seed: of the augmentation, 0 or more.
        soft_labels: index to cumulative attention, (C, h, w) float32 in [0, 1] on the whole
            photo's grid; adds `soft_label` to a sample. It is not warped: the integral model
            undoes the view instead.
        proxy_labels: index to label map, (H, W) uint8 in {0..C, 255}, of the whole photo; adds
            `target`, in the sample's view.
        photo_memory: bytes of resized photos that are kept for later epochs.

    Raises:
        ConfigError: if `seed` is negative.
    """

    def __init__(
        self,
        source: Source,
        transform: ViewTransform,
        seed: int = 0,
        soft_labels: Callable[[int], NDArray[np.float32]] | None = None,
        proxy_labels: Callable[[int], NDArray[np.uint8]] | None = None,
        photo_memory: int = 0,
    ) -> None:
        if seed < 0:
            raise ConfigError(f"seed must be 0 or more, got {seed}")
        self.source = source
        self.transform = transform
        self.seed = seed
        self.soft_labels = soft_labels
        self.proxy_labels = proxy_labels
        self._photos = PhotoMemory(source, photo_memory, transform.resized)

    @override
    def __getitem__(self, item: Draw | int) -> Batch:
        draw = item if isinstance(item, Draw) else Draw(int(item))
        index = draw.index
        label = None if self.proxy_labels is None else self.proxy_labels(index)
        seed = (self.seed, draw.epoch, index)
        seen = self.transform.of_resized(self._photos.photo(index), seed, label)
        sample = Batch(
            image=seen.image,
            labels=torch.from_numpy(self.source.labels[index].astype(np.float32)),
            index=torch.tensor(index),
            view=seen.view,
            repeat=torch.tensor(draw.repeat),
        )
        if seen.target is not None:
            sample["target"] = seen.target
        if self.soft_labels is not None:
            soft_label = np.asarray(self.soft_labels(index), dtype=np.float32)
            sample["soft_label"] = torch.from_numpy(np.ascontiguousarray(soft_label))
        return sample


def collate(samples: Sequence[Batch]) -> Batch:
    """Stack samples to a batch.

    Args:
        samples: of `PhotoDataset`, at least one.

    Returns:
        The same keys; shapes get a leading B.

    Raises:
        ConfigError: if their images differ in size.
    """
    sizes = sorted({tuple(sample["image"].shape[1:]) for sample in samples})
    if len(sizes) > 1:
        raise ConfigError(
            f"a batch has images of {len(sizes)} sizes (h, w), {sizes[0]} and {sizes[1]} among "
            "them: end the augmentations with a Resize or a crop to one size, or use batches of 1"
        )
    batch: Batch = default_collate(list(samples))
    return batch
