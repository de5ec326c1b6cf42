import math
from pathlib import Path

import pytest
import torch
from tests.modules.tiny import (
    OPTIMIZER,
    SCHEDULE,
    TinyNet,
    loader,
    quiet_trainer,
    step_alone,
    whole,
)
from torch import Tensor, nn

from oaa_pl.ids import IGNORED
from oaa_pl.metrics import SegmentationScore
from oaa_pl.modules.segmenter import Segmenter


def targets(ignored: float = 0.3) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, 4, (6, 8, 8), generator=generator)
    return ids.where(torch.rand(6, 8, 8, generator=generator) >= ignored, IGNORED)


def segmenter() -> Segmenter:
    return Segmenter(TinyNet(classes=4, dropout=0), OPTIMIZER, SCHEDULE, num_classes=3)


def oracle(logits: Tensor, target: Tensor) -> float:
    """Mean over the labelled pixels of -log softmax, pixel by pixel."""
    losses = []
    for b in range(len(target)):
        for y in range(target.shape[1]):
            for x in range(target.shape[2]):
                truth = int(target[b, y, x])
                if truth != IGNORED:
                    scores = [math.exp(float(score)) for score in logits[b, :, y, x]]
                    losses.append(-math.log(scores[truth] / sum(scores)))
    return sum(losses) / len(losses)


def test_the_loss_is_cross_entropy_over_the_labelled_pixels() -> None:
    module, batch = segmenter(), whole(target=targets())
    logits = torch.nn.functional.interpolate(
        module(batch["image"]), (8, 8), mode="bilinear", align_corners=False
    )
    expected = oracle(logits.detach(), targets())
    # The loops sum in double precision what the module sums in float32.
    assert step_alone(module, batch).item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_that_is_ignored_altogether_teaches_nothing() -> None:
    module = segmenter()
    loss = step_alone(module, whole(target=torch.full((6, 8, 8), IGNORED)))
    loss.backward()
    assert loss.item() == 0
    assert all(not p.grad.any() for p in module.parameters() if p.grad is not None)


def gradient(target: Tensor, change: Tensor) -> Tensor:
    """Of the head, on a network of single pixels whose image is changed where `change` is true."""
    torch.manual_seed(0)
    module = Segmenter(SinglePixels(), OPTIMIZER, SCHEDULE, num_classes=3)
    batch = whole(target=target)
    batch["image"] = batch["image"].where(~change[:, None], 9.0)
    step_alone(module, batch).backward()
    found = module.net.get_parameter("head.weight").grad
    assert found is not None
    return found


class SinglePixels(nn.Module):
    """A logit of every pixel from that pixel alone."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 4, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(image)
        return logits


def test_what_an_ignored_pixel_shows_changes_no_gradient() -> None:
    target = targets()
    ignored = target == IGNORED
    nothing = torch.zeros_like(ignored)
    assert torch.equal(gradient(target, ignored), gradient(target, nothing))
    one_labelled = nothing.clone()
    one_labelled[tuple((~ignored).nonzero()[0])] = True
    assert not torch.allclose(gradient(target, one_labelled), gradient(target, nothing))


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    module, batch = segmenter(), whole(target=targets())
    log = module.log
    before = step_alone(module, batch).item()
    module.log = log  # type: ignore[method-assign]
    quiet_trainer(tmp_path, max_epochs=10).fit(
        module, loader(target=targets()), loader(target=targets())
    )
    assert step_alone(module, batch).item() < before - 0.02


def test_validation_logs_the_miou_of_the_data_set(tmp_path: Path) -> None:
    module, batch = segmenter(), whole(target=targets())
    with torch.no_grad():
        logits = torch.nn.functional.interpolate(
            module.eval()(batch["image"]), (8, 8), mode="bilinear", align_corners=False
        )
    score = SegmentationScore(4)
    score.update(logits.argmax(dim=1), batch["target"])
    trainer = quiet_trainer(tmp_path)
    for _ in range(2):  # a second validation starts from nothing
        trainer.validate(module, loader(target=targets()), verbose=False)
        found = float(trainer.callback_metrics["val/miou"])
        assert found == pytest.approx(float(score.compute()["miou"]))


def test_copies_that_pad_the_processes_do_not_count(tmp_path: Path) -> None:
    found = []
    for wrong in (targets(), torch.zeros_like(targets())):
        target, repeat = targets(), torch.arange(6) > 3
        target[repeat] = wrong[repeat]
        trainer = quiet_trainer(tmp_path)
        trainer.validate(segmenter(), loader(target=target, repeat=repeat), verbose=False)
        found.append(float(trainer.callback_metrics["val/miou"]))
    assert found[0] == found[1]
