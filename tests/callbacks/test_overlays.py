from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytorch_lightning.loggers import WandbLogger

from oaa_pl.callbacks.overlays import Overlays


class Dashboard(WandbLogger):
    """Keeps what it is sent; starts no run."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[int], int]] = []

    def log_image(self, key: str, images: list[Any], step: int | None = None, **_: Any) -> None:
        self.sent.append((key, [int(image.max()) for image in images], step or 0))


def picture(index: int) -> np.ndarray:
    return np.full((2, 2, 3), index, np.uint8)


def epoch_end(callback: Overlays, epoch: int, *loggers: object, rank: int = 0) -> None:
    trainer = SimpleNamespace(
        is_global_zero=rank == 0, current_epoch=epoch, loggers=loggers, global_step=10 * epoch
    )
    callback.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]  # a stand-in


def test_each_epoch_sends_the_chosen_images() -> None:
    dashboard, callback = Dashboard(), Overlays("attention", [3, 5], picture)
    for epoch in range(2):
        epoch_end(callback, epoch, object(), dashboard)
    assert dashboard.sent == [("attention", [3, 5], 0), ("attention", [3, 5], 10)]


def test_once_is_enough_for_labels_that_do_not_change() -> None:
    dashboard, callback = Dashboard(), Overlays("proxy", [1], picture, once=True)
    for epoch in range(3):
        epoch_end(callback, epoch, dashboard)
    assert dashboard.sent == [("proxy", [1], 0)]


def test_without_a_dashboard_no_picture_is_drawn() -> None:
    def draw(index: int) -> np.ndarray:
        pytest.fail("a picture that nobody sees was drawn")

    epoch_end(Overlays("attention", [1], draw), 0, object())
    epoch_end(Overlays("attention", [1], draw), 0, Dashboard(), rank=1)
