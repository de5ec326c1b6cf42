"""The Python of the README, and what its pieces take for granted.

`python readme_scope.py README.md` runs all of it, in order, in the current folder. It imports
nothing from the tests, so that it runs wherever the package is installed.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import Dataset

IDS, CLASSES = ("beach.jpg", "kitchen.jpg"), ("dog", "person")
LABELS = torch.tensor([[1, 0], [1, 1]])  # three pairs
EPOCHS = 3


class Classifier(LightningModule):
    """As little as somebody's own classifier may be."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Conv2d(3, 2, 1)

    def training_step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        score_map = self.net(batch["image"])
        return {"loss": score_map.mean(), "score_map": score_map.detach().abs()}

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        self.log("val/map", -float(self.current_epoch), batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Photos(Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return len(IDS)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": torch.ones(3, 8, 8), "labels": LABELS[index].float(), "index": index}


def blocks(readme: str, language: str) -> list[str]:
    """The pieces of code in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)


def scope_with(*more: Any) -> dict[str, Any]:
    """Names that the pieces use and do not define; a Trainer has `more` callbacks."""

    def trainer(callbacks: Sequence[Any], **options: Any) -> Trainer:
        return Trainer(
            callbacks=[*callbacks, *more],
            **{**options, "max_epochs": EPOCHS},
            logger=False,
            enable_checkpointing=bool(more),
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
        )

    def training_step(images: Tensor, labels: Tensor) -> Tensor:
        """The first class wins everywhere, so that the gate accepts every pair."""
        return torch.tensor([2.0, 1.0]).reshape(1, 2, 1, 1).expand(len(images), 2, 4, 4)

    return {
        "Trainer": trainer,
        "ids": IDS, "classes": CLASSES, "labels": LABELS.numpy() > 0,
        "loader": [(torch.ones(2, 3, 8, 8), LABELS, torch.arange(2))],
        "training_step": training_step,
    }  # fmt: skip


def run_all(readme: str) -> dict[str, Any]:
    """Run every piece of Python in order; all names that exist afterwards."""
    scope = scope_with()
    for piece in blocks(readme, "python"):
        exec(piece, scope)
    return scope


if __name__ == "__main__":
    found = run_all(Path(sys.argv[1]).read_text("utf-8"))
    sys.stdout.write(f"{found['cumulative'].shape} {found['mask'].shape}\n")
