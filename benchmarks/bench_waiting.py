"""How long a training waits for photos, with the defaults that a user gets.

An epoch has five steps, and ten are timed: five read every photo for the first time. Of the eight
that count, the median is one that finds its photos in memory, if photos are kept.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from conftest import Bench
from runs import LITE, composed, on_all_cores, pipeline

from oaa_pl.plan.trial import time_steps
from oaa_pl.stages.classifier import ClassifierStage
from oaa_pl.stages.pipeline import Pipeline


def embedded(folder: Path, *more: str) -> Pipeline:
    """The default network on a part of the embedded data set."""
    return pipeline(
        "experiment=synthetic", f"data.root={folder}/drawn", "data.train_images=25",
        "data.val_images=1", f"runs={folder}/runs", "estimate=false", *more,
    )  # fmt: skip


def photos(folder: Path, *more: str) -> Pipeline:
    """EfficientNet-Lite0 on photos."""
    return composed(folder, 40, *LITE, *more)


@pytest.mark.parametrize(
    ("epochs", "sought", "more"),
    [("later epochs", "<= 5", ()), ("first epoch", "", ("loader.photo_memory=0",))],
)
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("small network on the embedded data", embedded),
        ("EfficientNet-Lite0, photos of 500 px", photos),
    ],
)
def test_waiting(
    bench: Bench, tmp_path: Path, name: str, make: Callable[..., Pipeline], epochs: str,
    sought: str, more: tuple[str, ...],
) -> None:  # fmt: skip
    stage = make(tmp_path, *more).classifier()
    bench.percent(
        f"share of a training step that waits for data, {name}, {epochs}", sought,
        partial(waiting, stage),
        f"loader.num_workers={stage.data.num_workers}, the default here; all cores",
    )  # fmt: skip


def waiting(stage: ClassifierStage) -> float:
    """Percent of the median step, in all threads that torch takes by itself."""
    pace = on_all_cores(partial(time_steps, stage, stage.settled.trainer, "classifier"))
    return 100 * pace.loading / (pace.loading + pace.computing)
