from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytorch_lightning.loggers import WandbLogger

from oaa_pl.callbacks.overlays import Labelled, Overlays


class Dashboard(WandbLogger):
    """Keeps what it is sent; starts no run."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, int]] = []
        self.masks: list[dict[str, Any]] = []

    def log_image(self, key: str, images: list[Any], step: int | None = None, **more: Any) -> None:
        (image,), (masks,) = images, more["masks"]
        self.sent.append((key, int(image.max()), step or 0))
        self.masks.append(masks)


def picture(index: int) -> Labelled:
    return Labelled(np.full((2, 2, 3), index, np.uint8), np.full((2, 2), 1, np.uint8))


def epoch_end(callback: Overlays, epoch: int, *loggers: object, rank: int = 0) -> None:
    trainer = SimpleNamespace(
        is_global_zero=rank == 0, current_epoch=epoch, loggers=loggers, global_step=10 * epoch
    )
    callback.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]  # a stand-in


def test_each_epoch_sends_the_chosen_images() -> None:
    dashboard, callback = Dashboard(), Overlays("attention", [3, 5], picture, ("cat",))
    for epoch in range(2):
        epoch_end(callback, epoch, object(), dashboard)
    one = [("attention/3", 3), ("attention/5", 5)]
    assert dashboard.sent == [(key, value, step) for step in (0, 10) for key, value in one]


def test_a_mask_has_the_names_of_its_classes() -> None:
    dashboard = Dashboard()
    epoch_end(Overlays("proxy", [1], picture, ("cat", "dog")), 0, dashboard)
    (masks,) = dashboard.masks
    names = {0: "background", 1: "cat", 2: "dog", 255: "ignored"}
    assert masks["proxy"]["class_labels"] == names
    assert masks["proxy"]["mask_data"].tolist() == [[1, 1], [1, 1]]


def test_once_is_enough_for_labels_that_do_not_change() -> None:
    dashboard, callback = Dashboard(), Overlays("proxy", [1], picture, ("cat",), once=True)
    for epoch in range(3):
        epoch_end(callback, epoch, dashboard)
    assert dashboard.sent == [("proxy/1", 1, 0)]


def test_without_a_dashboard_no_picture_is_drawn() -> None:
    def draw(index: int) -> Labelled:
        pytest.fail("a picture that nobody sees was drawn")

    epoch_end(Overlays("attention", [1], draw, ("cat",)), 0, object())
    epoch_end(Overlays("attention", [1], draw, ("cat",)), 0, Dashboard(), rank=1)
