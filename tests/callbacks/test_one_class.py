"""A segmenter that predicts one class for every pixel after its first epoch says so."""

import logging
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from oaa_pl.callbacks.one_class import WarnIfOneClass

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning's advice


class Segmenting(LightningModule):
    def __init__(self, bias: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(), nn.Conv2d(3, 3, 1))
        with torch.no_grad():
            self.net[2].bias[0] = bias

    def forward(self, image: Tensor) -> Tensor:
        return self.net(image)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        logits = self(batch["image"])
        if "target" not in batch:
            return logits.square().mean()
        return nn.functional.cross_entropy(logits, batch["target"], ignore_index=255)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def train(module: Segmenting, target: Tensor | None, epochs: int = 3, *callbacks: Any) -> None:
    images = torch.randn(12, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    batch = [{"image": image} | ({} if target is None else {"target": target}) for image in images]
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=list(callbacks or [WarnIfOneClass(batches=2)]),
    )  # fmt: skip
    torch.manual_seed(1)
    trainer.fit(module, DataLoader(batch, batch_size=4))


TWO = torch.tensor([[0, 0, 1, 255]] * 4)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.message for r in caplog.records if r.name == "oaa_pl.callbacks.one_class"]


def test_one_class_on_labels_of_several_is_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        train(Segmenting(bias=50.0), TWO)
    (said,) = warnings(caplog)
    assert "calls every pixel background, on images whose labels have 2 classes" in said
    assert "segmenter.optimizer.lr" in said


@pytest.mark.parametrize(
    ("bias", "target"),
    [(0.0, TWO), (50.0, torch.zeros(4, 4, dtype=torch.long)), (50.0, None)],
    ids=["several classes are predicted", "labels of one class", "no labels of pixels"],
)
def test_nothing_is_said_where_there_is_nothing_to_say(
    bias: float, target: Tensor | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train(Segmenting(bias), target)
    assert warnings(caplog) == []


def test_looking_does_not_change_the_training() -> None:
    with_look, without = Segmenting(0.0), Segmenting(0.0)
    train(with_look, TWO, 2)
    train(without, TWO, 2, WarnIfOneClass(batches=0))
    for name, value in with_look.state_dict().items():
        assert torch.equal(value, without.state_dict()[name]), name
