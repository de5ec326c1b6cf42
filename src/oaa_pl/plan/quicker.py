"""Propose quicker schedules of a run, as command lines to type."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch

from oaa_pl.plan.command_line import CommandLine
from oaa_pl.plan.trial import Pace
from oaa_pl.stages.segmenter import SegmenterStage
from oaa_pl.stages.trained_stage import TrainedStage
from oaa_pl.training.length import Length

__all__ = ["Proposal", "Schedule", "length_of", "proposals"]

_FROZEN = 0.75  # share of a training's time with the first two blocks of VGG-16 frozen
_EPOCHS = {"classifier": 5, "integral": 2, "segmenter": 5}
# Steps of table2_voc320 after its tuning. A classifier learned nothing in 300 steps.
_STEPS = {"classifier": 1320, "integral": 400, "segmenter": 400}
_FACTOR = 0.71  # half the pixels: from the release's 224 px to the tuning's 160
_LEAST_INPUT, _LEAST_CROP = 96, 97


@dataclass(frozen=True)
class Schedule:
    """The estimated time of a run.

    Attributes:
        parts: name of a stage to seconds: `classifier`, `integral <loss>`,
            `attention maps`, `proxy labels`, `segmenter <method>`, `scores`.
        paces: of the timed trainings: `classifier`, `integral`, `segmenter`.
        images: N, number of training photos.
    """

    parts: Mapping[str, float]
    paces: Mapping[str, Pace]
    images: int

    @property
    def seconds(self) -> float:
        """Seconds of the whole run."""
        return sum(self.parts.values())


class Proposal(NamedTuple):
    """A quicker schedule.

    Attributes:
        what: changes, in words.
        seconds: of the whole run.
        command: the whole command line.
    """

    what: str
    seconds: float
    command: str


def length_of(stage: TrainedStage, images: int) -> Length:
    """The length of a stage's training for a number of photos.

    Args:
        stage: a stage that trains.
        images: N, number of training photos.
    """
    share = stage.fraction if isinstance(stage, SegmenterStage) else 1
    return stage.planned.for_images(max(1, round(images * share)), stage.place)


def proposals(
    trainings: Mapping[str, TrainedStage], line: CommandLine, schedule: Schedule
) -> Iterator[Proposal]:
    """Quicker schedules, each quicker than the previous one.

    Args:
        trainings: a stage of each kind that the run trains.
        line: the command line of the run.
        schedule: its time.
    """
    before = schedule.seconds
    cpu = any(one.trainer.settings.get("accelerator") == "cpu" for one in trainings.values())
    for what, how, short in (
        ("quicker", "with smaller photos", False),
        ("quickest", "with smaller photos and as few steps as were seen to work", True),
    ):
        changes = {**_smaller(trainings, line, _FACTOR), **_frozen(line)}
        if short:
            changes |= _shorter(trainings, schedule.images)
        if not cpu:
            changes |= _workers(trainings, schedule)
        seconds = _seconds(trainings, line, schedule, changes)
        if changes and seconds < 0.8 * before:
            yield Proposal(f"{what}, {how}", seconds, line.changed(changes, what))
            before = seconds
    if cpu and torch.cuda.is_available():
        yield Proposal(
            "on this machine's GPU, which this run leaves alone; at most",
            before, line.changed({"trainer": "gpu"}, "gpu"),
        )  # fmt: skip


def _smaller(
    trainings: Mapping[str, TrainedStage], line: CommandLine, factor: float
) -> dict[str, object]:
    """Smaller inputs of all networks. Objects keep their share of the input."""
    changes: dict[str, object] = {}
    side = _multiple(line.input_size * factor, 8)
    if _LEAST_INPUT <= side < line.input_size:
        changes["data.input_size"] = side
    segmenter = trainings.get("segmenter")
    cropped = segmenter is None or segmenter.place == segmenter.part  # heads have squares instead
    if line.segmenter_side is not None and cropped:
        crop = _multiple(line.crop_size * factor, 8) + 1
        if _LEAST_CROP <= crop < line.crop_size:
            changes["data.crop_size"] = crop
            changes["data.segmenter_side"] = round(line.segmenter_side * crop / line.crop_size)
    return changes


def _frozen(line: CommandLine) -> dict[str, object]:
    """Do not train the first two blocks of the trunk, which see edges and colours only."""
    return {"net.freeze": 2} if line.freeze == 0 else {}


def _shorter(trainings: Mapping[str, TrainedStage], images: int) -> dict[str, object]:
    """Fewer epochs, but still enough steps to learn something."""
    changes: dict[str, object] = {}
    for part, stage in trainings.items():
        length = length_of(stage, images)
        needed = math.ceil(_STEPS[part] / math.ceil(images / length.batch_size))
        if length.epochs is not None and length.epochs <= max(_EPOCHS[part], needed):
            continue
        changes[f"{stage.place}.epochs"] = max(_EPOCHS[part], needed)
        if stage.planned.least_steps is not None:
            changes[f"{stage.place}.least_steps"] = 0
    return changes


def _workers(trainings: Mapping[str, TrainedStage], schedule: Schedule) -> dict[str, object]:
    """Processes that decode photos, if a training on a GPU waits for photos."""
    waits = any(pace.loading > pace.computing / 2 for pace in schedule.paces.values())
    none = any(stage.data.num_workers == 0 for stage in trainings.values())
    return {"loader.num_workers": 4} if waits and torch.cuda.is_available() and none else {}


def _seconds(
    trainings: Mapping[str, TrainedStage],
    line: CommandLine,
    schedule: Schedule,
    changes: Mapping[str, object],
) -> float:
    """Seconds after the changes: computing grows with pixels and epochs, loading with epochs."""
    total = 0.0
    for name, seconds in schedule.parts.items():
        kind = name.split()[0]
        pace = schedule.paces.get(kind)
        if kind == "attention":
            pace = schedule.paces.get("integral") or schedule.paces.get("classifier")
        if kind == "scores":
            pace = schedule.paces.get("segmenter")
        if pace is None:
            total += seconds
            continue
        cropped = kind in ("segmenter", "scores")
        key, old = (
            ("data.crop_size", line.crop_size) if cropped else ("data.input_size", line.input_size)
        )
        area = (float(str(changes.get(key, old))) / old) ** 2
        frozen = _FROZEN if "net.freeze" in changes and kind in _EPOCHS else 1.0
        loading = pace.loading / 4 if "loader.num_workers" in changes else pace.loading
        factor = (area * frozen * pace.computing + loading) / (pace.computing + pace.loading)
        total += seconds * factor * _epochs_factor(trainings, schedule, kind, changes)
    return total


def _epochs_factor(
    trainings: Mapping[str, TrainedStage],
    schedule: Schedule,
    kind: str,
    changes: Mapping[str, object],
) -> float:
    key = f"{trainings[kind].place}.epochs" if kind in trainings else ""
    if key not in changes:
        return 1.0
    length = length_of(trainings[kind], schedule.images)
    new = float(str(changes[key]))
    if length.epochs is not None:
        return new / float(length.epochs)
    return min(1.0, new * schedule.images / float(length.batch_size * length.steps))


def _multiple(value: float, of: int) -> int:
    return of * round(value / of)
