"""The pieces of Python in the README work as they are printed."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from oaa_pl.attention.gate import accept_all
from oaa_pl.errors import StoreNotEmptyError
from oaa_pl.store.reader import StoreReader
from oaa_pl.types import StepOutput

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


class Classifier(LightningModule):
    """As little as somebody's own classifier may be."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Conv2d(3, 2, 1)

    def training_step(self, batch: dict[str, Tensor]) -> StepOutput:
        score_map = self.net(batch["image"])
        return {"loss": score_map.mean(), "score_map": score_map.detach().abs()}

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        self.log("val/map", -float(self.current_epoch), batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


IDS, CLASSES = ("a", "b"), ("cat", "dog")
LABELS = torch.tensor([[1, 0], [1, 1]])  # three pairs
EPOCHS = 3


class Photos(torch.utils.data.Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return len(IDS)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": torch.ones(3, 8, 8), "labels": LABELS[index].float(), "index": index}


def scope_of(checkpoint: Callable[[], ModelCheckpoint] | None) -> dict[str, Any]:
    """What the README's pieces of Python take for granted, and a Trainer with that policy."""

    def trainer(callbacks: list[Any], **options: Any) -> Trainer:
        return Trainer(
            callbacks=[*callbacks, *([checkpoint()] if checkpoint else [])],
            **{**options, "max_epochs": EPOCHS},
            logger=False,
            enable_checkpointing=checkpoint is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
        )

    return {
        "Trainer": trainer, "ids": IDS, "classes": CLASSES, "labels": LABELS.numpy() > 0,
        "batch_labels": LABELS, "index": torch.arange(2),
        "score_map": torch.tensor([2.0, 1.0]).reshape(1, 2, 1, 1).expand(2, 2, 4, 4),
    }  # fmt: skip


POLICIES: dict[str, Callable[[], ModelCheckpoint] | None] = {
    "no checkpoints": None,
    "the best": lambda: ModelCheckpoint("kept", monitor="val/map", mode="max", save_top_k=1),
    "every second epoch": lambda: ModelCheckpoint("kept", every_n_epochs=2),
    "weights alone": lambda: ModelCheckpoint("kept", save_weights_only=True),
    "a slash in the name": lambda: ModelCheckpoint(
        "kept", "{epoch}-{val/map:.2f}", monitor="val/map", save_top_k=-1
    ),
}


def updates() -> list[int]:
    counted: list[int] = StoreReader(Path("maps")).rows["updates"].tolist()
    return counted


@pytest.mark.filterwarnings("ignore:The 'val_dataloader' does not have many workers:UserWarning")
@pytest.mark.parametrize("policy", POLICIES)
def test_the_callback_keeps_the_maps_of_every_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    monkeypatch.chdir(tmp_path)
    opener, lightning, _ = blocks("python")
    scope = scope_of(POLICIES[policy])
    for piece in (opener, lightning):
        exec(piece, scope)
    scope["trainer"].callbacks[0].gate = accept_all
    scope["trainer"].fit(Classifier(), DataLoader(Photos()), DataLoader(Photos()))
    assert updates() == [EPOCHS] * 3
    # The same script again: refused, and nothing is lost.
    for piece in (opener, lightning):
        exec(piece, scope)
    with pytest.raises(StoreNotEmptyError, match=r"ckpt_path=.*overwrite=True"):
        scope["trainer"].fit(Classifier(), DataLoader(Photos()), DataLoader(Photos()))
    assert updates() == [EPOCHS] * 3


def test_a_plain_loop_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opener, _, loop = blocks("python")
    scope = scope_of(None)
    for piece in (opener, loop):
        exec(piece, scope)
    assert scope["attention"].shape == (1, 32, 32)
    assert updates() == [1] * 3
    with pytest.raises(StoreNotEmptyError, match=r"resume=True.*overwrite=True"):
        exec(loop, scope)
    assert updates() == [1] * 3
