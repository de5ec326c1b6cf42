"""Features that a frozen trunk makes of photos: a file of all, and a data set of them.

The file is `features.npy`: float16, as the trunk gave them, memory-mapped when read. It appears
whole or not at all; its checksum is in the record of the stage that makes it.

Shapes: N images, F channels of h x w cells, C foreground classes, S x S pixels of a target.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.dataset import Samples
from oaa_pl.data.geometry import warp_label
from oaa_pl.data.source import Source
from oaa_pl.errors import DivergedError, StoreError
from oaa_pl.files.atomic import write_whole
from oaa_pl.store.files import checksum
from oaa_pl.types import Batch, Draw, Purpose

__all__ = ["FeatureDataset", "Features", "feature_data", "open_features", "write_features"]

Features = NDArray[np.float16]

_WHOLE = np.eye(3)[:2]


def write_features(path: Path, parts: Iterable[NDArray[np.float32]], images: int) -> int:
    """Write features of all images, whole or not at all.

    Args:
        path: the file.
        parts: of some images each, (n, F, h, w).
        images: N.

    Returns:
        The file's checksum.

    Raises:
        DivergedError: if a feature is not a finite number of 16 bits.
        OutputError: if the file cannot be written.
    """

    def write(file: BinaryIO) -> None:
        shape: tuple[int, ...] | None = None
        for part in parts:
            with np.errstate(over="ignore"):  # named below
                half = part.astype(np.float16)
            if not np.isfinite(half).all():
                raise DivergedError(
                    f"features for {path} must be below 65504, got {np.abs(part).max():g}; the "
                    "trunk has diverged, or its layers need another choice"
                )
            if shape is None:
                shape = (images, *half.shape[1:])
                header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                # Only `write`: numpy would write through C's buffers, past a full disk.
                np.lib.format.write_array_header_1_0(SimpleNamespace(write=file.write), header)
            file.write(np.ascontiguousarray(half, "<f2").tobytes())

    write_whole(path, write, durable=True)
    return checksum(path)


def open_features(path: Path, images: int, expected: int) -> Features:
    """Map the features of all images into memory, read-only.

    Args:
        path: the file.
        images: N.
        expected: its checksum.

    Returns:
        (N, F, h, w).

    Raises:
        StoreError: if it is missing, damaged, or of another number of images.
    """
    again = f"remove {path.parent} to compute the features again"
    try:
        found = checksum(path)
        if found != expected:
            raise StoreError(
                f"{path} is damaged: its checksum is {found:08x}, "
                f"recorded is {expected:08x}; {again}"
            )
        features: Features = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise StoreError(f"{path} cannot be read as an array ({error}); {again}") from error
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{path} cannot be read ({error.strerror}); {again}") from error
    if features.ndim != 4 or len(features) != images:
        raise StoreError(
            f"{path} has features of shape {features.shape}, expected those of {images} images; "
            f"{again}"
        )
    return features


class FeatureDataset(Samples):
    """One image's features and target per draw, mirrored or not by (seed, epoch, index).

    Args:
        source: the images that are learned from, n; an index counts this list.
        features: of all images, (N, F, h, w).
        places: of the source's images in `features`, n.
        proxy_labels: index to label map of the whole photo, (H, W) uint8 in {0..C, 255}.
        side: S.
        seed: 0 or more.
    """

    def __init__(
        self,
        source: Source,
        features: Features,
        places: Iterable[int],
        proxy_labels: Callable[[int], NDArray[np.uint8]],
        side: int,
        seed: int = 0,
    ) -> None:
        self.source, self.features, self.places = source, features, tuple(places)
        self.proxy_labels, self.side, self.seed = proxy_labels, side, seed
        self._targets: dict[int, NDArray[np.uint8]] = {}  # small: 4 kB each at 64 pixels

    @override
    def __getitem__(self, item: Draw | int) -> Batch:
        draw = item if isinstance(item, Draw) else Draw(int(item))
        index = draw.index
        if index not in self._targets:
            label = self.proxy_labels(index)
            self._targets[index] = warp_label(label, _WHOLE, (self.side, self.side))
        features, target, view = self.features[self.places[index]], self._targets[index], _WHOLE
        seed = [Purpose.MIRRORED_FEATURES, self.seed, draw.epoch, index]
        if np.random.default_rng(seed).random() < 0.5:
            features, target = features[:, :, ::-1], target[:, ::-1]
            view = _WHOLE * [[-1.0], [1.0]]
        return Batch(
            image=torch.from_numpy(np.ascontiguousarray(features, np.float32)),
            labels=torch.from_numpy(self.source.labels[index].astype(np.float32)),
            index=torch.tensor(index),
            view=torch.from_numpy(view.astype(np.float32)),
            repeat=torch.tensor(draw.repeat),
            target=torch.from_numpy(np.ascontiguousarray(target, np.int64)),
        )


def feature_data(data: OaaDataModule, dataset: FeatureDataset) -> OaaDataModule:
    """A module of photos, with batches of features instead for training.

    Args:
        data: of the same images, in the same order.
        dataset: the features and targets.

    Returns:
        The same module; its training loader reads in the training process, since nothing is
        decoded, and a memory map would be copied into each worker.
    """
    data.train_set, data.num_workers = dataset, 0
    return data
