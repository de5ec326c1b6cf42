"""Estimate how long `oaa reproduce` will take on this machine, before it starts.

Try each kind of training for ten steps and extrapolate. Estimate passes without training from the
same steps. Nothing of the run changes: no folder, no weights, no random generator.
"""

import logging
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from oaa_pl.config.compose import in_sweep, overridden
from oaa_pl.data.source import Source
from oaa_pl.machine import usable_cores
from oaa_pl.plan import trial_modules
from oaa_pl.plan.quicker import Schedule, proposals, with_lengths
from oaa_pl.plan.trial import Pace, time_steps, untouched
from oaa_pl.report.page import duration
from oaa_pl.runs.folders import Run
from oaa_pl.runs.inputs import weight_files
from oaa_pl.runs.record import StageRecord
from oaa_pl.stages import build
from oaa_pl.stages.classifier import classifier_key
from oaa_pl.training.precision import settle

__all__ = ["announce", "estimated"]

log = logging.getLogger(__name__)

Value = TypeVar("Value")

_WORTH_SAYING = 180.0  # seconds
_FORWARD = 1 / 3  # of a training step: a backward pass takes as long as two forward passes
_CUE_PHOTOS = 3


class Stages(NamedTuple):
    """The unfinished stages after the classifier.

    Attributes:
        losses: of integral models to train.
        attended: methods whose maps to export.
        labelled: methods whose proxy labels to make.
        segmented: methods whose segmenter to train.
    """

    losses: tuple[str, ...]
    attended: tuple[str, ...]
    labelled: tuple[str, ...]
    segmented: tuple[str, ...]


def announce(cfg: DictConfig, losses: Sequence[str]) -> None:
    """Log how long a run will take and what would be quicker, if it takes minutes.

    Args:
        cfg: the configuration; with `estimate=false` nothing is logged.
        losses: of the integral models that the methods need.

    Raises:
        ConfigError: if a stage cannot be trained as configured.
    """
    if not cfg.get("estimate", True) or _one_of_many():
        return
    log.info("timing ten steps of each training; estimate=false starts without")
    schedule = estimated(cfg, losses)
    if schedule.seconds < _WORTH_SAYING:
        return
    parts = ", ".join(f"{name} {duration(s)}" for name, s in schedule.parts.items() if s >= 1)
    log.info("about %s on this machine: %s", duration(schedule.seconds), parts)
    for proposal in proposals(cfg, schedule):
        log.info("%s, about %s:", proposal.what, duration(proposal.seconds))
        log.info("  %s", proposal.command)
    log.info("this one starts now; Ctrl-C stops it")


def _one_of_many() -> bool:
    """Whether another process logs it: in a later job of a sweep, or one of several ranks."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 or int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        return True
    return in_sweep() and int(HydraConfig.get().job.num) > 0


def estimated(cfg: DictConfig, losses: Sequence[str]) -> Schedule:
    """Seconds of every stage that is not finished.

    Args:
        cfg: the configuration.
        losses: of the integral models that the methods need.

    Raises:
        RunMismatchError: if the run's folder has a classifier that was made from other values.
    """
    todo = _unfinished(cfg, losses)
    train, val = build.sources(cfg)
    images = len(train.ids)
    run = Run.of(cfg)
    cfg = settle(with_lengths(cfg, images), run.classifier, run.classifier).cfg
    # Refuse another run in this folder now, not after minutes of timing.
    record = StageRecord(run.classifier, classifier_key(cfg, train), weight_files(cfg))
    trained = record.finished
    parts: dict[str, float] = {}
    paces: dict[str, Pace] = {}
    attention = segmentation = None
    if not trained:
        attention = paces["classifier"] = time_steps(
            cfg, cfg.classifier, "classifier", lambda: trial_modules.classifier(cfg, train)
        )
        steps = _steps(cfg, cfg.classifier, images)
        parts["classifier"] = steps * sum(attention)
        if val is not None and cfg.classifier.validate_every and cfg.classifier.epochs:
            passes = cfg.classifier.epochs // cfg.classifier.validate_every
            parts["classifier"] += passes * _pass(attention, len(val.ids), cfg.classifier)
    if todo.losses:
        attention = paces["integral"] = time_steps(
            cfg, cfg.integral, "integral model", lambda: trial_modules.integral(cfg, train)
        )
        each = _steps(cfg, cfg.integral, images) * sum(attention)
        parts |= {f"integral {loss}": each for loss in todo.losses}
    if todo.attended and attention is not None:
        parts["attention maps"] = len(todo.attended) * _pass(attention, images, cfg.integral)
    if todo.labelled:
        parts["proxy labels"] = _labelling(cfg, train, len(todo.labelled))
    if todo.segmented:
        seen = max(1, round(images * cfg.segmenter.fraction))
        segmentation = paces["segmenter"] = time_steps(
            cfg, cfg.segmenter, "segmenter", lambda: trial_modules.segmenter(cfg, train)
        )
        each = _steps(cfg, cfg.segmenter, seen) * sum(segmentation)
        parts |= {f"segmenter {method}": each for method in todo.segmented}
        if val is not None and val.has_masks:
            views = len(build.plain(cfg.evaluate.scales)) * (1 + bool(cfg.evaluate.flip))
            scored = len(todo.segmented) * views * _pass(segmentation, len(val.ids), cfg.segmenter)
            parts["scores"] = scored
    return Schedule(parts, paces, images)


def _unfinished(cfg: DictConfig, losses: Sequence[str]) -> Stages:
    run = Run.of(cfg)
    methods = tuple(cfg.methods)

    def open_(folder: Path) -> bool:
        return not (folder / "done.json").is_file()

    return Stages(
        tuple(loss for loss in losses if open_(run.integral(loss))),
        tuple(m for m in methods if m not in cfg.fusion.stores and open_(run.attention(m))),
        tuple(m for m in methods if open_(run.labels(m))),
        tuple(m for m in methods if open_(run.segmenter(m))),
    )


def _steps(cfg: DictConfig, stage: DictConfig, images: int) -> int:
    """Batches of one process of the training."""
    if stage.epochs is None:
        return int(stage.steps) * int(cfg.trainer.get("accumulate_grad_batches", 1))
    share = math.ceil(images / _processes(cfg))
    return int(stage.epochs) * math.ceil(share / int(stage.batch_size))


def _processes(cfg: DictConfig) -> int:
    """Devices that share an epoch. Several processes on one CPU count as one: no quicker."""
    devices = build.plain(cfg.trainer.devices)
    if cfg.trainer.accelerator == "cpu" or not torch.cuda.is_available():
        return 1
    if isinstance(devices, list):
        return len(devices)
    return int(devices) if str(devices).isdecimal() else max(1, torch.cuda.device_count())


def _pass(pace: Pace, images: int, stage: DictConfig) -> float:
    """Seconds of one pass over all images without training."""
    return images / int(stage.batch_size) * (_FORWARD * pace.computing + pace.loading)


def _labelling(cfg: DictConfig, train: Source, methods: int) -> float:
    """Seconds of the proxy labels: one cue per photo, one decoded photo per photo and method."""
    node = cfg.background
    if "cache" in node:
        node = overridden(node, {"cache": None})  # most photos are not in the cache yet
    workers = cfg.label.workers or usable_cores()
    with untouched():
        cue = instantiate(node)
        begun = time.perf_counter()
        photos = [(train.ids[i], train.photo(i)) for i in range(min(_CUE_PHOTOS, len(train.ids)))]
        read = time.perf_counter()
        for name, photo in photos:
            cue(name, photo)
        done = time.perf_counter()
    each = (done - read) + methods * (read - begun)
    return each / len(photos) * len(train.ids) / workers
