"""A network and images small enough to train in a test, and a trainer that says nothing."""

from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from oaa_pl.modules.optim import constant_schedule, sgd, step_schedule
from oaa_pl.types import Batch

OPTIMIZER = partial(sgd, lr=0.05, weight_decay=1e-3)
SCHEDULE = partial(step_schedule, at=[0.5])
CONSTANT = constant_schedule


class TinyNet(nn.Module):
    """A strided convolution, dropout, a 1 x 1 convolution: (B, 3, H, W) to (B, C, H/2, W/2)."""

    def __init__(self, classes: int = 3, dropout: float = 0.3, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.trunk = nn.Sequential(
                nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Dropout(dropout)
            )
            self.head = nn.Conv2d(4, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.head(self.trunk(image))
        return scores


class Batches(Dataset[Batch]):
    """Six random images of 8 x 8 with three classes; further entries are the same for each."""

    def __init__(self, **more: Tensor) -> None:
        generator = torch.Generator().manual_seed(1)
        self.image = torch.randn(6, 3, 8, 8, generator=generator)
        self.labels = (torch.rand(6, 3, generator=generator) < 0.5).float()
        self.labels[:, 0] = 1
        self.labels[0] = torch.tensor([1.0, 0.0, 1.0])
        self.more = more

    def __len__(self) -> int:
        return 6

    def __getitem__(self, place: int) -> Batch:
        sample: dict[str, Any] = {
            "image": self.image[place],
            "labels": self.labels[place],
            "index": torch.tensor(place),
            "view": torch.eye(2, 3),
            "repeat": torch.tensor(False),
        }
        sample |= {key: value[place] for key, value in self.more.items()}
        return cast(Batch, sample)


def loader(**more: Tensor) -> "DataLoader[Batch]":
    return DataLoader(Batches(**more), batch_size=2)


def whole(**more: Tensor) -> Batch:
    """All six images in one batch."""
    batch: Batch = next(iter(DataLoader(Batches(**more), batch_size=6)))
    return batch


def quiet_trainer(folder: Path, **settings: Any) -> Trainer:
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "default_root_dir": folder,
    }
    return Trainer(**(quiet | settings))


def step_alone(module: LightningModule, batch: Batch) -> Any:
    """One training step outside a trainer, whose log goes nowhere."""
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    return module.training_step(batch)
