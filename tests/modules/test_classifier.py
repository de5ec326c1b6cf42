from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tests.modules.tiny import (
    OPTIMIZER,
    SCHEDULE,
    Batches,
    TinyNet,
    loader,
    quiet_trainer,
    step_alone,
    whole,
)

from oaa_pl.losses import image_level_loss
from oaa_pl.modules.classifier import Classifier


def classifier() -> Classifier:
    return Classifier(TinyNet(dropout=0), OPTIMIZER, SCHEDULE, 3)


def test_a_step_returns_the_loss_of_equation_1_and_the_score_map() -> None:
    module, batch = classifier(), whole()
    output = step_alone(module, batch)
    # The loss of the very map that is handed on; the network asked again may round otherwise.
    assert torch.equal(output["loss"], image_level_loss(output["score_map"], batch["labels"]))
    torch.testing.assert_close(output["score_map"], module(batch["image"]), rtol=1e-5, atol=1e-5)
    assert output["score_map"].shape == (6, 3, 4, 4)


def test_the_score_map_is_handed_on_without_its_graph() -> None:
    output = step_alone(classifier(), whole())
    assert output["loss"].requires_grad
    assert not output["score_map"].requires_grad


def average_precision(scores: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean precision at the place of each image that has the class, best score first."""
    order = scores.argsort(descending=True)
    found, precisions = 0, []
    for place, image in enumerate(order.tolist(), start=1):
        if labels[image]:
            found += 1
            precisions.append(found / place)
    return sum(precisions) / len(precisions)


def test_validation_logs_the_mean_average_precision_of_the_data_set(tmp_path: Path) -> None:
    module, trainer, batch = classifier(), quiet_trainer(tmp_path), whole()
    trainer.validate(module, loader(), verbose=False)
    with torch.no_grad():
        scores = module.eval()(batch["image"]).mean(dim=(2, 3))
    expected = [average_precision(scores[:, c], batch["labels"][:, c]) for c in range(3)]
    mean = float(trainer.callback_metrics["val/map"])
    assert mean == pytest.approx(sum(expected) / 3, abs=1e-5)
    loss = image_level_loss(scores[..., None, None], batch["labels"])
    assert float(trainer.callback_metrics["val/loss"]) == pytest.approx(float(loss), abs=1e-5)


def test_an_image_that_pads_a_process_counts_once(tmp_path: Path) -> None:
    padded, plain = Batches(), Batches()
    order = [0, 1, 2, 3, 4, 5, 0, 1]

    def draw(data: Batches, place: int) -> dict[str, object]:
        return {**data[order[place]], "repeat": torch.tensor(place >= 6)}

    samples = [draw(padded, place) for place in range(8)]
    found = []
    for chosen in (samples, [plain[place] for place in range(6)]):
        trainer = quiet_trainer(tmp_path)
        data: Any = torch.utils.data.DataLoader(cast(Any, chosen), batch_size=2)
        trainer.validate(classifier(), data, verbose=False)
        found.append(float(trainer.callback_metrics["val/map"]))
    assert found[0] == found[1]


def test_a_second_validation_starts_from_nothing(tmp_path: Path) -> None:
    module, trainer = classifier(), quiet_trainer(tmp_path)
    maps = []
    for _ in range(2):
        trainer.validate(module, loader(), verbose=False)
        maps.append(float(trainer.callback_metrics["val/map"]))
    assert maps[0] == maps[1]
