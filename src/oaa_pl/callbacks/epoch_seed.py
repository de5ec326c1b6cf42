"""Make every epoch's randomness a function of (seed, epoch, rank), so that resuming is exact."""

from hashlib import sha256

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from typing_extensions import override

__all__ = ["EpochSeed"]


class EpochSeed(Callback):
    """Reseed torch at the start of each training epoch.

    Dropout draws from torch's global generator, whose state a checkpoint does not hold and a
    validation or a data loader may disturb. Seeding per epoch needs no state: an epoch repeated
    after a crash draws what it drew before. (Sampling and augmentation are pure functions of the
    sampler's `Draw` already.)

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        words = f"{self.seed} {trainer.current_epoch} {trainer.global_rank}".encode()
        torch.manual_seed(int.from_bytes(sha256(words).digest()[:8], "little") >> 1)
