"""`oaa fit`: train one stage."""

import logging
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import wandb
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningModule

from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.callbacks.checkpoint import LAST
from oaa_pl.callbacks.growth import AttentionGrowth
from oaa_pl.callbacks.overlays import Overlays
from oaa_pl.commands import build
from oaa_pl.commands.attend import attend, load_net
from oaa_pl.commands.record import Run, StageRecord, read_done, read_key
from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError
from oaa_pl.labels.palette import load_label, overlay
from oaa_pl.modules.classifier import Classifier
from oaa_pl.modules.integral import IntegralAttention
from oaa_pl.modules.segmenter import Segmenter
from oaa_pl.report.pictures import heat_overlay
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore, StoreReader

__all__ = ["fit_classifier", "fit_integral", "fit_segmenter", "run"]

log = logging.getLogger(__name__)

WATCHED = 4  # images whose maps are kept for every epoch


def run(cfg: DictConfig) -> None:
    """Train the stage that `cfg.stage` names."""
    stages: Mapping[str, Callable[[], Path]] = {
        "classifier": lambda: fit_classifier(cfg),
        "integral": lambda: fit_integral(cfg),
        "segmenter": lambda: fit_segmenter(cfg, cfg.method),
    }
    if cfg.stage not in stages:
        raise ConfigError(f"stage must be one of {', '.join(stages)}, got {cfg.stage!r}")
    log.info("%s: finished", stages[cfg.stage]())


def classifier_key(cfg: DictConfig, train: Source) -> dict[str, Any]:
    """What determines the classifier and the maps that it accumulates."""
    return build.made_from(
        cfg,
        train,
        classifier=cfg.classifier,
        gate=cfg.gate,
        fusion=cfg.fusion,
        attention=cfg.attention,
        grid=list(cfg.store.grid),
    )


def fit_classifier(cfg: DictConfig, *, alone: bool = True) -> Path:
    """Stage 1: train on tags while accumulating attention; then fill never-accepted pairs.

    Args:
        cfg: the configuration.
        alone: whether this training is all that the command line does.

    Returns:
        The stage's folder.
    """
    run = Run.of(cfg)
    train, val = build.sources(cfg)
    record = StageRecord(run.classifier, classifier_key(cfg, train))
    if record.finished:
        return record.folder
    record.begin(cfg, classes=list(train.classes))
    pairs = build.pairs_of(train)
    paths = {method: run.attention(method) / "store" for method in cfg.fusion.stores}
    accumulation = AttentionAccumulation(
        {
            method: partial(_open_store, paths[method], store_header(cfg, pairs, fusion), pairs)
            for method, fusion in cfg.fusion.stores.items()
        },
        gate=instantiate(cfg.gate),
        normalise=instantiate(cfg.attention),
        first_epoch=cfg.classifier.first_epoch,
    )
    first = next(iter(paths))
    watched = watched_images(train)
    growth = AttentionGrowth(accumulation, watched, record.folder / "growth", first)

    def picture(index: int) -> NDArray[np.uint8]:
        maps = accumulation.stores[first].maps(index).attention
        return heat_overlay(train.photo(index), maps.max(axis=0))

    classes = len(train.classes)
    pl.seed_everything(cfg.seed, verbose=False)
    module = Classifier(
        build.attention_net(cfg, classes),
        instantiate(cfg.classifier.optimizer),
        instantiate(cfg.classifier.schedule),
        classes,
        channels_last=cfg.net.channels_last,
    )
    data = build.datamodule(cfg, train, val, cfg.classifier.batch_size)
    callbacks = [accumulation, growth, Overlays("attention", watched, picture)]
    every = cfg.classifier.validate_every if val is not None else None
    how = {"check_val_every_n_epoch": every, "limit_val_batches": 1.0} if every else {}
    if not _train(cfg, cfg.classifier, "classifier", record, module, data, callbacks, alone, **how):
        return record.folder
    # The paper does not say what becomes of pairs that no epoch's gate let through: they get the
    # final model's map, recorded as a fallback.
    net = load_net(cfg, record.folder, classes)
    for method, fusion in cfg.fusion.stores.items():
        header = store_header(cfg, pairs, fusion)
        done = StageRecord(run.attention(method), {"classifier": record.made_from})
        done.begin(cfg, classes=list(train.classes))
        with MemmapStore(paths[method], header, pairs) as store:
            store.roll_back(max(store.generations()))
            filled = len(store.missing())
            attend(cfg, net, data, store, only_missing=True, what=f"finalize {method}")
            store.commit()
        done.finish(fallback=filled, pairs=len(pairs.pairs))
    record.finish()
    return record.folder


def integral_key(cfg: DictConfig, train: Source) -> dict[str, Any]:
    """What determines an integral model."""
    maps = read_key(Run.of(cfg).attention(cfg.integral.soft_labels))
    return build.made_from(cfg, train, integral=cfg.integral, loss=cfg.loss, maps=maps)


def fit_integral(cfg: DictConfig, *, alone: bool = True) -> Path:
    """Stage 2: train the integral attention model on the cumulative maps.

    Args:
        cfg: the configuration; `loss` says which one.
        alone: whether this training is all that the command line does.

    Returns:
        The stage's folder.

    Raises:
        MissingInputError: if the cumulative maps are not finished.
    """
    run = Run.of(cfg)
    train, _ = build.sources(cfg)
    source_maps = run.attention(cfg.integral.soft_labels)
    read_done(source_maps, "oaa fit stage=classifier")
    record = StageRecord(run.integral(cfg.loss.name), integral_key(cfg, train))
    if record.finished:
        return record.folder
    record.begin(cfg, classes=list(train.classes))
    reader = StoreReader(source_maps / "store")
    reader.pairs.require_same(build.pairs_of(train), reader.path)
    classes = len(train.classes)
    pl.seed_everything(cfg.seed, verbose=False)
    if cfg.integral.init == "classifier":
        net = load_net(cfg, run.classifier, classes)
    elif cfg.integral.init == "net":
        net = build.attention_net(cfg, classes)
    else:
        raise ConfigError(f"integral.init must be net or classifier, got {cfg.integral.init!r}")
    module = IntegralAttention(
        net,
        instantiate(cfg.loss.function),
        instantiate(cfg.integral.optimizer),
        instantiate(cfg.integral.schedule),
        channels_last=cfg.net.channels_last,
    )
    data = build.datamodule(cfg, train, None, cfg.integral.batch_size, soft_labels=reader.dense)
    what = f"integral {cfg.loss.name}"
    if _train(cfg, cfg.integral, what, record, module, data, [], alone):
        record.finish()
    return record.folder


def segmenter_key(cfg: DictConfig, train: Source, method: str) -> dict[str, Any]:
    """What determines a segmenter; `labels` is the key of its proxy labels."""
    return build.made_from(
        cfg,
        train,
        segmenter=cfg.segmenter,
        transform=str(cfg.data.segmenter_train_transform),
        labels=read_key(Run.of(cfg).labels(method)),
    )


def fit_segmenter(cfg: DictConfig, method: str, *, alone: bool = True) -> Path:
    """Stage 3: train a segmentation network on a method's proxy labels.

    Args:
        cfg: the configuration.
        method: whose proxy labels.
        alone: whether this training is all that the command line does.

    Returns:
        The stage's folder.

    Raises:
        MissingInputError: if the proxy labels are not finished.
    """
    run = Run.of(cfg)
    train, _ = build.sources(cfg)
    read_done(run.labels(method), f"oaa label method={method}")
    record = StageRecord(run.segmenter(method), segmenter_key(cfg, train, method))
    if record.finished:
        return record.folder
    record.begin(cfg, classes=list(train.classes))
    proxy = ProxyFolder(run.labels(method) / "proxy", train.ids)
    classes = len(train.classes)
    pl.seed_everything(cfg.seed, verbose=False)
    module = Segmenter(
        build.segmenter_net(cfg, classes),
        instantiate(cfg.segmenter.optimizer),
        instantiate(cfg.segmenter.schedule),
        channels_last=cfg.net.channels_last,
    )
    data = build.datamodule(
        cfg, train, None, cfg.segmenter.batch_size,
        transform="segmenter_train_transform", proxy_labels=proxy,
    )  # fmt: skip

    def picture(index: int) -> NDArray[np.uint8]:
        return overlay(train.photo(index), proxy(index))

    pictures = Overlays("proxy", watched_images(train), picture, once=True)
    what = f"segmenter {method}"
    if _train(cfg, cfg.segmenter, what, record, module, data, [pictures], alone):
        record.finish()
    return record.folder


class ProxyFolder:
    """Proxy labels by an image's place in the data set.

    Args:
        folder: of `<id>.png`.
        ids: of the data set's images, N.
    """

    def __init__(self, folder: Path, ids: tuple[str, ...]) -> None:
        self.folder, self.ids = folder, ids

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """The label map of one image, (H, W) uint8 in {0..C, 255}."""
        return load_label(self.folder / f"{self.ids[index]}.png")


def store_header(cfg: DictConfig, pairs: Pairs, fusion: str) -> Header:
    """What the maps of this run mean."""
    return Header(
        classes=pairs.classes,
        fingerprint=pairs.fingerprint,
        grid=tuple(cfg.store.grid),
        fusion=fusion,
        gate=cfg.gate._target_.rpartition(".")[2],
        first_epoch=cfg.classifier.first_epoch,
        normalisation=cfg.attention._target_.rpartition(".")[2],
    )


def watched_images(source: Source) -> list[int]:
    """A few images, of different classes where possible: the first of each class."""
    firsts = (int(np.flatnonzero(column)[0]) for column in source.labels.T if column.any())
    return sorted(dict.fromkeys(firsts))[:WATCHED]


def _open_store(
    path: Path, header: Header, pairs: Pairs, rank: int, world_size: int
) -> MemmapStore:
    return MemmapStore(path, header, pairs, rank, world_size)


def _train(
    cfg: DictConfig,
    stage: DictConfig,
    what: str,
    record: StageRecord,
    module: LightningModule,
    data: pl.LightningDataModule,
    callbacks: list[Callback],
    alone: bool,
    **more: Any,
) -> bool:
    """Train, or go on training; whether this is the process that goes on afterwards.

    Raises:
        KeyboardInterrupt: if somebody pressed Ctrl-C; what was checkpointed stays.
    """
    last = record.folder / LAST
    more = {"limit_val_batches": 0, **more}
    trainer, loggers = build.trainer(
        cfg, stage, what, record.folder, callbacks, alone=alone, **more
    )
    # Lightning leaves the process at Ctrl-C; the command line has something to say first.
    try:
        trainer.fit(module, data, ckpt_path=last if last.is_file() else None, weights_only=True)
    except SystemExit as leaving:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt(f"{what}: interrupted") from leaving
    finally:
        for logger in loggers:
            logger.finalize("success")
        wandb.finish()  # or the next job of a sweep would go on in this one's run
    return bool(trainer.is_global_zero)
