"""`oaa attend` against one photo at a time."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
from conftest import Bench
from runs import LITE, composed, on_all_cores

from oaa_pl.nets.trunk import trunk_stride
from oaa_pl.stages.export import export
from oaa_pl.stages.pipeline import Pipeline
from oaa_pl.stages.trained import ready
from oaa_pl.store.layout import Header
from oaa_pl.store.memmap import MemmapStore

NUMBER, TURNS = 48, 3
WAYS = pytest.mark.parametrize(
    ("views", "more"),
    [
        ("one scale", ()),
        ("four scales and mirrored",
         ("attend.scales=[0.5,0.75,1.0,1.25]", "attend.flip=true")),
    ],
)  # fmt: skip


@WAYS
def test_batches_on_all_cores(
    bench: Bench, tmp_path: Path, views: str, more: tuple[str, ...]
) -> None:
    loop, batches = both(tmp_path, *more)
    bench.ratio(
        f"`oaa attend`, {views}: one photo at a time on one core over batches on all", ">= 3",
        loop, partial(on_all_cores, batches), f"{NUMBER} photos, EfficientNet-Lite0, 224 px",
        TURNS,
    )  # fmt: skip


@WAYS
@pytest.mark.benchmark(timer=time.process_time)
def test_batches_on_one_core(
    bench: Bench, tmp_path: Path, views: str, more: tuple[str, ...]
) -> None:
    bench.ratio(
        f"`oaa attend`, {views}: one photo at a time over batches, on one core", "",
        *both(tmp_path, *more), "what batches and folded batch norms gain, without threads", TURNS,
    )  # fmt: skip


def both(folder: Path, *more: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """One photo at a time, as a plain loop does it; and batches, as `oaa attend` does."""
    single = composed(folder, NUMBER, *LITE, *more, "loader.eval_batch_size=1")
    batched = composed(folder, NUMBER, *LITE, *more)
    return attending(single, folder / "loop", fold=False), attending(batched, folder / "batches")


def attending(run: Pipeline, place: Path, *, fold: bool = True) -> Callable[[], None]:
    """What writes all maps of a network with random weights.

    Args:
        run: the stages.
        place: of the store.
        fold: whether batch norms are folded, as the package does it; a plain loop does not.
    """
    stage, classifier = run.attention("cam"), run.classifier()
    model, to_attention = classifier.net, classifier.attention()
    with nullcontext() if fold else mock.patch("oaa_pl.stages.trained.folded", lambda net: net):
        net = ready(model.make(classifier.classes), model, classifier.trainer)
    photos = stage.views.loaders(stage.data, model, trunk_stride(net.get_submodule("net")))
    header = Header(stage.pairs.classes, stage.pairs.fingerprint, stage.grid, "maximum")

    def attend() -> None:
        with MemmapStore(place, header, stage.pairs, overwrite=True) as store:
            export(net, photos, store, to_attention, flip=stage.views.flip)
            store.commit()

    return attend
