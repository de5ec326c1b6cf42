"""Stage 1: train the classifier while its attention is accumulated.

Source: Jiang et al., ICCV 2019, sections 3.1 and 3.2.
"""

import logging
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig

from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.callbacks.checkpoint import LAST
from oaa_pl.callbacks.growth import AttentionGrowth
from oaa_pl.callbacks.overlays import Overlays
from oaa_pl.config.factory import factory
from oaa_pl.config.trainer_key import asked_processes
from oaa_pl.data.fitness import check_fit
from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError, RunMismatchError
from oaa_pl.files.lock import WriterLock
from oaa_pl.modules.classifier import Classifier
from oaa_pl.runs.folders import Run
from oaa_pl.runs.inputs import weight_files
from oaa_pl.runs.record import StageRecord
from oaa_pl.stages import build
from oaa_pl.stages.attend import attend
from oaa_pl.stages.pictures import CumulativePicture, watched_images
from oaa_pl.stages.recipe import recipe
from oaa_pl.stages.trained import load_net
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.training.precision import settle
from oaa_pl.training.train import train_stage

__all__ = ["fit_classifier"]

log = logging.getLogger(__name__)


def classifier_key(cfg: DictConfig, train: Source) -> dict[str, Any]:
    """What determines the classifier and the maps that it accumulates."""
    return build.made_from(
        cfg,
        train,
        net="attention",
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

    Raises:
        ConfigError: if the configuration makes no sense.
        StoreError: if another process writes the stage's folder, or its maps.
    """
    run = Run.of(cfg)
    cfg, precision = settle(cfg, run.classifier, run.classifier)
    train, val = build.sources(cfg)
    cfg = build.long_enough(cfg, "classifier", len(train.ids))
    record = StageRecord(
        run.classifier, classifier_key(cfg, train), weight_files(cfg), asked_processes(cfg)
    )
    if record.finished:
        return record.folder
    if alone:  # or it is done already
        check_fit(train, pixels=False)
    maps = {
        method: StageRecord(
            run.attention(method),
            {"classifier": record.made_from},
            {f"{name} of classifier": sum_ for name, sum_ in record.files.items()},
        )
        for method in cfg.fusion.stores
    }
    stale = _stale_maps(record, list(maps.values()))
    pairs = build.pairs_of(train)
    paths = {method: of_method.folder / "store" for method, of_method in maps.items()}
    accumulation = AttentionAccumulation(
        {
            method: partial(MemmapStore, paths[method], store_header(cfg, pairs, fusion), pairs)
            for method, fusion in cfg.fusion.stores.items()
        },
        gate=instantiate(cfg.gate),
        normalise=instantiate(cfg.attention),
        first_epoch=cfg.classifier.first_epoch,
        keep_empty=cfg.classifier.keep_empty,
        fill_in_epoch=_last_epoch(cfg) if cfg.classifier.fallback == "last_epoch" else None,
    )
    first = next(iter(paths))
    watched = watched_images(train)
    growth = AttentionGrowth(accumulation, watched, record.folder / "growth", first)

    classes = len(train.classes)
    pl.seed_everything(cfg.seed, verbose=False)
    module = Classifier(
        build.attention_net(cfg, classes),
        factory(cfg.classifier.optimizer, "classifier.optimizer"),
        factory(cfg.classifier.schedule, "classifier.schedule"),
        classes,
        channels_last=cfg.net.channels_last,
        recipe=recipe(cfg, "classifier", classes),
    )
    data = build.datamodule(cfg, train, val, cfg.classifier.batch_size)
    callbacks = [
        accumulation,
        growth,
        Overlays("attention", watched, CumulativePicture(accumulation, first, train)),
    ]
    how = _validation(cfg) if val is not None else {}

    def prepare() -> None:
        for folder in stale:
            clear_maps(folder)

    with record:
        if not train_stage(
            cfg,
            cfg.classifier,
            "classifier",
            record,
            module,
            data,
            callbacks,
            alone,
            precision,
            prepare,
            **how,
        ):
            return record.folder
        if record.stopped and cfg.classifier.fallback == "last_epoch":
            log.warning(
                "classifier: the planned last epoch never came, so pairs that no epoch accepted "
                "get the final model's map, as with fallback=final_model"
            )
        # The paper does not say what becomes of pairs that no epoch's gate let through: they get
        # the final model's map, recorded as a fallback. Not by the loaders of the training: under
        # several processes they hold this one's share.
        everything = build.datamodule(cfg, train, None, cfg.classifier.batch_size)
        net = load_net(cfg, record.folder, classes)
        for method, fusion in cfg.fusion.stores.items():
            header = store_header(cfg, pairs, fusion)
            with maps[method] as of_method:
                of_method.begin(cfg, classes=list(train.classes))
                with MemmapStore(paths[method], header, pairs, resume=True) as store:
                    missing = store.missing()
                    attend(cfg, net, everything, store, only=missing, what=f"finalize {method}")
                    store.commit(needed=store.generations())
                of_method.finish(fallback=len(missing), pairs=len(pairs.pairs))
        record.finish()
    return record.folder


def _validation(cfg: DictConfig) -> dict[str, Any]:
    """What the trainer is told of `validate_every`.

    Raises:
        ConfigError: if that is no number of epochs.
    """
    every = cfg.classifier.validate_every
    if every is None or every == 0:
        return {}
    if not isinstance(every, int) or isinstance(every, bool) or every < 0:
        raise ConfigError(f"classifier.validate_every must be epochs, or null, got {every!r}")
    return {"check_val_every_n_epoch": every, "limit_val_batches": 1.0}


def _stale_maps(record: StageRecord, maps: Sequence[StageRecord]) -> list[Path]:
    """Folders of maps that a classifier accumulated which never came to a checkpoint.

    Raises:
        RunMismatchError: if maps are of another run, or are finished and would be emptied.
    """
    finished = [of_method.folder for of_method in maps if of_method.finished]
    if (record.folder / LAST).is_file():
        return []
    if finished:
        raise RunMismatchError(
            f"{finished[0]} holds finished maps, but the checkpoint of their classifier, "
            f"{record.folder / LAST}, is gone; restore it, or remove "
            f"{' and '.join(map(str, finished))} to train the classifier and the maps anew"
        )
    return [of_method.folder for of_method in maps]


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


def _last_epoch(cfg: DictConfig) -> int:
    """Number of the classifier's last epoch.

    Raises:
        ConfigError: if its length is given in steps: nobody knows beforehand which epoch is last.
    """
    if cfg.classifier.epochs is None:
        raise ConfigError("classifier.fallback=last_epoch needs classifier.epochs, not steps")
    return int(cfg.classifier.epochs) - 1


def clear_maps(folder: Path) -> None:
    """Remove what a classifier accumulated that never came to a checkpoint.

    Raises:
        StoreError: if another process is writing it.
    """
    if (lock := folder / "store" / "writer.lock").is_file():
        WriterLock(lock).release()
    shutil.rmtree(folder, ignore_errors=True)
