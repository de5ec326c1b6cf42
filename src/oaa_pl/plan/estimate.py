"""Estimate how long `oaa reproduce` will take on this machine, before it starts.

Try each kind of training for ten steps and extrapolate. Estimate passes without training from the
same steps. Nothing of the run changes: no folder, no weights, no random generator.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from oaa_pl.machine import usable_cores
from oaa_pl.plan.command_line import CommandLine
from oaa_pl.plan.outline import outline
from oaa_pl.plan.quicker import Schedule, length_of, proposals
from oaa_pl.plan.trial import Pace, time_steps, untouched
from oaa_pl.report.page import duration
from oaa_pl.stages.attention import AttentionStage
from oaa_pl.stages.classifier import ClassifierStage
from oaa_pl.stages.integral import IntegralStage
from oaa_pl.stages.label import LabelStage
from oaa_pl.stages.segmenter import SegmenterStage
from oaa_pl.stages.stage import Stage
from oaa_pl.stages.trained_stage import TrainedStage
from oaa_pl.training.trainer_plan import TrainerPlan

__all__ = ["announce", "estimated", "trainings_of"]

log = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=Stage)

_WORTH_SAYING = 180.0  # seconds
_FORWARD = 1 / 3  # of a training step: a backward pass takes as long as two forward passes
_CUE_PHOTOS = 3


def announce(stages: Sequence[Stage], line: CommandLine) -> None:
    """Log the plan of a run; if it takes minutes, also what would be quicker.

    Args:
        stages: of the run, in order, the classifier first.
        line: the command line of the run.

    Raises:
        ConfigError: if a stage cannot be trained as configured.
    """
    schedule: Schedule | None = None
    if line.announces and not all(stage.finished for stage in stages):
        log.info("timing ten steps of each training; estimate=false starts without")
        schedule = estimated(stages)
    for text in outline(stages, schedule):
        log.info("%s", text)
    if schedule is None or schedule.seconds < _WORTH_SAYING:
        return
    parts = ", ".join(f"{name} {duration(s)}" for name, s in schedule.parts.items() if s >= 1)
    log.info("about %s on this machine: %s", duration(schedule.seconds), parts)
    for proposal in proposals(trainings_of(stages), line, schedule):
        log.info("%s, about %s:", proposal.what, duration(proposal.seconds))
        log.info("  %s", proposal.command)
    log.info("this one starts now; Ctrl-C stops it")


def trainings_of(stages: Sequence[Stage]) -> dict[str, TrainedStage]:
    """The first stage of each kind that trains: "classifier", "integral", "segmenter"."""
    trained = [stage for stage in stages if isinstance(stage, TrainedStage)]
    return {stage.part: stage for stage in reversed(trained)}


def estimated(stages: Sequence[Stage]) -> Schedule:
    """Seconds of every stage that is not finished.

    Args:
        stages: of the run, in order, the classifier first.

    Raises:
        RunMismatchError: if the run's folder has a classifier that was made from other values.
    """
    (classifier,) = (stage for stage in stages if isinstance(stage, ClassifierStage))
    data, trainer = classifier.data, classifier.settled.trainer
    images, val = len(data.train.ids), data.val
    # Refuse another run in this folder now, not after minutes of timing.
    trained = classifier.record().finished
    parts: dict[str, float] = {}
    paces: dict[str, Pace] = {}
    attention: Pace | None = None
    batch = 1
    if not trained:
        attention = paces["classifier"] = time_steps(classifier, trainer, "classifier")
        batch = classifier.planned.batch_size
        parts["classifier"] = _training(classifier, trainer, images, attention)
    integrals = _open(stages, IntegralStage)
    if integrals:
        attention = paces["integral"] = time_steps(integrals[0], trainer, "integral model")
        batch = integrals[0].planned.batch_size
        each = _training(integrals[0], trainer, images, attention)
        parts |= {f"integral {stage.loss.name}": each for stage in integrals}
    exports = _open(stages, AttentionStage)
    if exports and attention is not None:
        parts["attention maps"] = len(exports) * _pass(attention, images, batch)
    labels = _open(stages, LabelStage)
    if labels:
        parts["proxy labels"] = _labelling(labels)
    segmenters = _open(stages, SegmenterStage)
    if segmenters:
        first = segmenters[0]
        pace = paces["segmenter"] = time_steps(first, trainer, "segmenter")
        each = _training(first, trainer, images, pace)
        parts |= {stage.name: each for stage in segmenters}
        if val is not None and val.has_masks:
            looks = first.segmenting.views
            views = len(looks["scales"]) * (1 + bool(looks["flip"]))
            scored = _pass(pace, len(val.ids), first.planned.batch_size)
            parts["scores"] = len(segmenters) * views * scored
    return Schedule(parts, paces, images)


def _open(stages: Sequence[Stage], kind: type[Kind]) -> list[Kind]:
    """The stages of a kind that are not finished."""
    return [stage for stage in stages if isinstance(stage, kind) and not stage.finished]


def _training(stage: TrainedStage, trainer: TrainerPlan, images: int, pace: Pace) -> float:
    """Seconds of a training and its validation."""
    length, val = length_of(stage, images), stage.validates_on
    if length.epochs is None:
        each = int(trainer.settings.get("accumulate_grad_batches", 1))
        return int(length.steps) * each * sum(pace)
    share = math.ceil(len(stage.photos.ids) / _processes(trainer))
    seconds = int(length.epochs) * math.ceil(share / int(length.batch_size)) * sum(pace)
    if val is not None and stage.validate_every:
        passes = int(length.epochs) // int(stage.validate_every)
        seconds += passes * _pass(pace, len(val.ids), length.batch_size)
    return seconds


def _processes(trainer: TrainerPlan) -> int:
    """Devices that share an epoch. Several processes on one CPU count as one: no quicker."""
    devices = trainer.settings.get("devices", "auto")
    if trainer.settings.get("accelerator") == "cpu" or not torch.cuda.is_available():
        return 1
    if isinstance(devices, list):
        return len(devices)
    return int(devices) if str(devices).isdecimal() else max(1, torch.cuda.device_count())


def _pass(pace: Pace, images: int, batch_size: int) -> float:
    """Seconds of one pass over all images without training."""
    return images / batch_size * (_FORWARD * pace.computing + pace.loading)


def _labelling(stages: Sequence[LabelStage]) -> float:
    """Seconds of the proxy labels: one cue per photo, one decoded photo per photo and method."""
    train, recipe = stages[0].data.train, stages[0].background
    if "cache" in recipe.key:  # most photos are not in the cache yet
        none = {"cache": None}
        recipe = replace(recipe, key={**recipe.key, **none}, values={**recipe.values, **none})
    workers = stages[0].workers or usable_cores()
    with untouched():
        cue = recipe()
        begun = time.perf_counter()
        photos = [(train.ids[i], train.photo(i)) for i in range(min(_CUE_PHOTOS, len(train.ids)))]
        read = time.perf_counter()
        for name, photo in photos:
            cue(name, photo)
        done = time.perf_counter()
    each = (done - read) + len(stages) * (read - begun)
    return each / len(photos) * len(train.ids) / workers
