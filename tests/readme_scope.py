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
from torch import Tensor, nn
from torch.utils.data import Dataset

IDS, CLASSES = ("beach.jpg", "kitchen.jpg"), ("dog", "person")
LABELS = torch.tensor([[1, 0], [1, 1]])  # three pairs
EPOCHS = 3


def network() -> nn.Module:
    """Somebody's own classifier: it pools, and returns scores alone. Those are positive here."""
    net = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
        net[4].bias.copy_(torch.tensor([9.0, 5.0]))  # so that the gate accepts every pair
    return net


class Classifier(LightningModule):
    """As little as somebody's own module may be."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        scores = self.net(batch["image"])
        return nn.functional.binary_cross_entropy_with_logits(scores, batch["labels"])

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        self.log("val/map", -float(self.current_epoch), batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


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

    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def train_on(scores: Tensor, labels: Tensor) -> None:
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(scores, labels.float()).backward()
        optimizer.step()

    return {
        "Trainer": trainer,
        "ids": IDS, "classes": CLASSES, "labels": LABELS.numpy() > 0,
        "loader": [(torch.ones(2, 3, 8, 8), LABELS, torch.arange(2))],
        "model": model, "train_on": train_on,
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
