"""Lines of whole stages, on a folder of generated photos: epochs, maps, labels, scores."""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar
from unittest import mock

import numpy as np
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from lines import Line, Value
from photos import make_photos

from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.config.compose import register
from oaa_pl.data.images import read_mask
from oaa_pl.files.installed import root_of
from oaa_pl.machine import usable_cores
from oaa_pl.metrics.segmentation import SegmentationScore
from oaa_pl.metrics.threshold import ThresholdCurve, cut
from oaa_pl.nets.trunk import trunk_stride
from oaa_pl.parallel.fan_out import FanOut
from oaa_pl.plan.trial import time_steps
from oaa_pl.proxy.boundary_cue import BoundaryCue
from oaa_pl.proxy.produce import LabelMaker
from oaa_pl.proxy.rule import ProxyRule
from oaa_pl.stages.classifier import ClassifierStage
from oaa_pl.stages.counters import ProxyCounter
from oaa_pl.stages.export import export
from oaa_pl.stages.pipeline import Pipeline
from oaa_pl.stages.trained import ready
from oaa_pl.store.layout import Header
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader

__all__ = ["attend_lines", "epoch_lines", "label_lines", "score_lines", "waiting_lines"]

CUE = BoundaryCue(None, 300, 0.01)
RULE = ProxyRule(0.3, 0.9, 32 / 255, 0.8, 0.01)
VIEWS = ("attend.scales=[0.5,0.75,1.0,1.25]", "attend.flip=true")
_PHOTOS = 96
T = TypeVar("T")
SMALL = ("net=small", "data.input_size=96", "classifier.batch_size=16")
LITE = ("net.weights=none", "classifier.batch_size=8")


def composed(folder: Path, number: int, *more: str) -> Pipeline:
    """A run of `experiment=photos` on so many photos of a folder, which it makes if necessary."""
    root, tags = folder / f"made-{max(number, _PHOTOS)}", folder / f"tags-{number}.csv"
    if not root.exists():
        make_photos(root, max(number, _PHOTOS))
    lines = (root / "tags.csv").read_text().splitlines()
    tags.write_text("\n".join(lines[: number + 1]) + "\n")
    return pipeline(
        "experiment=photos", f"data.root={root}/photos", f"data.tag_file={tags}",
        f"data.mask_folder={root}/labels", f"runs={folder}/runs", "name=bench",
        "trainer.precision=32-true", *more,
    )  # fmt: skip


def pipeline(*words: str) -> Pipeline:
    """The stages of a configuration."""
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        return Pipeline(compose("config", list(words)))


def epoch_lines(folder: Path) -> Iterator[Line]:
    """A whole epoch with and without accumulation: photos are read, the store is committed."""
    for name, number, sought, more in (
        ("small network, 96 px", 96, "<= 1.05", SMALL),
        ("EfficientNet-Lite0, 224 px", 24, "<= 1.02", LITE),
    ):
        stage = composed(folder, number, *more).classifier()
        epoch = partial(train_epoch, stage, stage.module(stage.net.make(stage.classes)))
        place = folder / f"epoch-{name}"
        yield Line(
            f"whole epoch with accumulation over without, {name}", sought,
            partial(epoch, place), partial(epoch, None),
            f"{number} JPEG photos of 500 px, one thread: decoding, training, store's commit",
            turns=5,
        )  # fmt: skip


def train_epoch(stage: ClassifierStage, module: pl.LightningModule, place: Path | None) -> None:
    """An epoch of a classifier; its attention is accumulated in a store at `place`, if given."""
    callbacks: list[pl.Callback] = []
    if place is not None:
        pairs = stage.pairs
        header = Header(pairs.classes, pairs.fingerprint, stage.grid, "maximum")
        opener = partial(MemmapStore, place, header, pairs)
        callbacks = [AttentionAccumulation({"oaa_max": opener}, overwrite=True)]
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, callbacks=callbacks, logger=False, limit_val_batches=0,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module, stage.loaders())


def waiting_lines(folder: Path) -> Iterator[Value]:
    """Share of a training step that waits for data, with the defaults that a user gets.

    An epoch has five steps, and ten are timed: five read every photo for the first time. Of the
    eight that count, the median is one that finds its photos in memory, if photos are kept.
    """
    embedded = ("experiment=synthetic", f"data.root={folder}/drawn", "data.train_images=25",
                "data.val_images=1", f"runs={folder}/runs", "estimate=false")  # fmt: skip
    for name, made in (
        ("small network on the embedded data", partial(pipeline, *embedded)),
        ("EfficientNet-Lite0, photos of 500 px", partial(composed, folder, 40, *LITE)),
    ):
        for epochs, sought, more in (
            ("later epochs", "<= 5", ()),
            ("first epoch", "", ("loader.photo_memory=0",)),
        ):
            stage = made(*more).classifier()
            yield Value(
                f"share of a training step that waits for data, {name}, {epochs}", sought,
                partial(waiting, stage),
                f"loader.num_workers={stage.data.num_workers}, the default here; all cores", "%",
            )  # fmt: skip


def waiting(stage: ClassifierStage) -> float:
    """Percent of the median step, in all threads that torch takes by itself."""
    pace = on_all_cores(partial(time_steps, stage, stage.settled.trainer, "classifier"))
    return 100 * pace.loading / (pace.loading + pace.computing)


def attend_lines(folder: Path) -> Iterator[Line]:
    """`oaa attend` against one photo at a time."""
    for what, number, more in (
        ("one scale", 48, ()),
        ("four scales and mirrored", 48, VIEWS),
    ):
        batched = composed(folder, number, *LITE, *more)
        single = composed(folder, number, *LITE, *more, "loader.eval_batch_size=1")
        places = [folder / f"attend-{number}-{way}" for way in ("batches", "loop")]
        ours, loop = attending(batched, places[0]), attending(single, places[1], fold=False)
        yield Line(
            f"`oaa attend`, {what}: one photo at a time on one core over batches on all", ">= 3",
            loop, partial(on_all_cores, ours), f"{number} photos, EfficientNet-Lite0, 224 px",
            wall=True, turns=3,
        )  # fmt: skip
        yield Line(
            f"`oaa attend`, {what}: one photo at a time over batches, on one core", "", loop, ours,
            "what batches and folded batch norms gain, without threads", turns=3,
        )  # fmt: skip


def on_all_cores(work: Callable[[], T]) -> T:
    """The result of something with as many threads as torch takes by itself."""
    before = torch.get_num_threads()
    torch.set_num_threads(usable_cores())
    try:
        return work()
    finally:
        torch.set_num_threads(before)


def attending(run: Pipeline, place: Path, *, fold: bool = True) -> Callable[[], None]:
    """What writes all maps of a network with random weights, as `oaa attend` does.

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


def label_lines(folder: Path, number: int = 576) -> Iterator[Line]:
    """Proxy labels in processes against a plain loop, and the boundary cue of one photo.

    Args:
        folder: for the photos and what is made of them.
        number: of photos: so many that the start of the processes counts little.
    """
    run = composed(folder, number)
    train, pairs = run.parts.data.train, run.classifier().pairs
    grid = (56, 56)
    maps = np.random.default_rng(0).random((len(pairs.pairs), 4, 4)).astype(np.float32)
    maps = np.kron(maps, np.ones((1, 14, 14), np.float32))
    with MemmapStore(folder / "maps", Header(pairs.classes, pairs.fingerprint, grid, "maximum"),
                     pairs, overwrite=True) as store:  # fmt: skip
        store.fill(pairs.pairs[:, 0], pairs.pairs[:, 1], maps)
        store.commit()
    reader = StoreReader(folder / "maps")

    def label(workers: int) -> None:
        made = Path(tempfile.mkdtemp(dir=folder))
        for name in ("proxy", "hard"):
            (made / name).mkdir()
        maker = LabelMaker(train.ids, train.photo, reader.maps, CUE, RULE, made)
        with FanOut(workers=workers).results(maker, range(len(train.ids))) as results:
            list(results)

    yield Line(
        f"proxy labels: a plain loop over {usable_cores()} processes", ">= 1.9", partial(label, 1),
        partial(label, usable_cores()), f"{number} photos, boundary cue; with their start",
        wall=True, turns=3,
    )  # fmt: skip
    yield Line(
        f"proxy labels: {usable_cores()} plain loops one after another over the same side by side",
        "", partial(loops, partial(label, 1), at_once=False),
        partial(loops, partial(label, 1), at_once=True),
        "what this machine's cores allow; measured once", wall=True, turns=1,
    )  # fmt: skip
    photo = train.photo(0)
    yield Line(
        "boundary cue of a 500 x 375 photo", "<= 0.06", None, partial(CUE, "0", photo),
        "processor time of one thread", turns=20,
    )  # fmt: skip


def loops(work: Callable[[], None], *, at_once: bool) -> None:
    """Do the same work once in a process for each core, at once or one after another."""
    started = [
        multiprocessing.get_context("fork").Process(target=work) for _ in range(usable_cores())
    ]
    for process in started:
        process.start()
        if not at_once:
            process.join()
    for process in started:
        process.join()


def score_lines(folder: Path) -> Iterator[Line | Value]:
    """100 thresholds in one pass or in one each; how much of a score is decoding."""
    generator = torch.Generator().manual_seed(0)
    attention = torch.rand(2, 240, 320, generator=generator)
    truth = torch.randint(0, 21, (240, 320), generator=generator)
    categories = torch.tensor([1, 4])

    def one_each() -> None:
        for n in range(100):
            scores = SegmentationScore(21)
            scores.update(cut(attention, categories, n / 100), truth)

    yield Line(
        "100 thresholds: one pass each over one pass for all", ">= 20", one_each,
        lambda: ThresholdCurve(21, 100).update(attention, categories, truth),
        "two classes, 320 x 240",
    )  # fmt: skip
    source, root = composed(folder, _PHOTOS).parts.data.train, folder / f"made-{_PHOTOS}"
    for name in ("proxy", "hard"):
        (root / name).symlink_to(root / "labels")
    yield Value(
        "share of the score of proxy labels that is decoding of PNGs", ">= 50",
        partial(decoding, ProxyCounter(source, root)), "96 photos of 500 px, one thread", "%",
    )  # fmt: skip


def decoding(counter: ProxyCounter) -> float:
    """Percent of the score of proxy labels that reads their three files does."""
    counts, ids = counter.empty(), counter.truth.ids
    spent = {"decode": 0.0, "score": 0.0}
    for _ in range(3):
        for index, name in enumerate(ids):
            start = time.process_time()
            counter.truth.mask(index)
            for kind in ("proxy", "hard"):
                read_mask(counter.folder / kind / f"{name}.png")
            middle = time.process_time()
            counter.add(counts, index)
            spent["score"] += time.process_time() - middle
            spent["decode"] += middle - start
    return 100 * spent["decode"] / spent["score"]
