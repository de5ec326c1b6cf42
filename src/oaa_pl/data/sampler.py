"""The images of an epoch, their order and their process: a pure function of the seed."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler
from typing_extensions import override

from oaa_pl.errors import ConfigError
from oaa_pl.types import Draw, Purpose

__all__ = ["EpochSampler", "epoch_order"]


def epoch_order(num_samples: int, seed: int, epoch: int) -> list[int]:
    """The order in which an epoch visits the images.

    Args:
        num_samples: N, at least 1.
        seed: 0 or more.
        epoch: 0 or more.

    Returns:
        A permutation of 0..N-1, the same on every machine.
    """
    order: list[int] = (
        np.random.default_rng([Purpose.ORDER, seed, epoch]).permutation(num_samples).tolist()
    )
    return order


class EpochSampler(Sampler[Draw]):
    """Distribute the images of an epoch over the processes, equally many to each.

    If the images do not divide evenly, the first images of the order appear again at the end,
    marked `repeat`. They keep the processes in step; accumulation and metrics ignore them. With one
    process nothing is repeated.

    Args:
        num_samples: N, the number of images.
        seed: of the order, 0 or more.
        shuffle: a new order every epoch; otherwise 0..N-1.
        rank: this process, 0..world_size-1.
        world_size: number of processes.

    Raises:
        ConfigError: if an argument is out of range.
    """

    def __init__(
        self,
        num_samples: int,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        if num_samples < 1:
            raise ConfigError(f"num_samples must be 1 or more, got {num_samples}")
        if seed < 0:
            raise ConfigError(f"seed must be 0 or more, got {seed}")
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank must be in 0..{world_size - 1} (world_size - 1), got {rank}")
        self.num_samples = num_samples
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws; Lightning calls this, also on resuming.

        Args:
            epoch: 0 or more.
        """
        self.epoch = epoch

    @override
    def __iter__(self) -> Iterator[Draw]:
        n = self.num_samples
        order = epoch_order(n, self.seed, self.epoch) if self.shuffle else range(n)
        # Read the epoch once: set_epoch may be called while workers still prefetch.
        epoch = self.epoch
        for place in range(self.rank, len(self) * self.world_size, self.world_size):
            yield Draw(order[place % n], epoch, repeat=place >= n)

    def __len__(self) -> int:
        return (self.num_samples + self.world_size - 1) // self.world_size
