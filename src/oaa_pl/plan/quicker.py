"""Propose quicker schedules of a run, as command lines to type."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from oaa_pl.plan.trial import Pace
from oaa_pl.stages import build

__all__ = ["Proposal", "Schedule", "proposals", "with_lengths"]

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


def proposals(cfg: DictConfig, schedule: Schedule) -> Iterator[Proposal]:
    """Quicker schedules, each quicker than the previous one.

    Args:
        cfg: the configuration of this run.
        schedule: the estimated time of this run.
    """
    before = schedule.seconds
    for what, how, short in (
        ("quicker", "with smaller photos", False),
        ("quickest", "with smaller photos and as few steps as were seen to work", True),
    ):
        changes = {**_smaller(cfg, _FACTOR), **_frozen(cfg)}
        if short:
            changes |= _shorter(cfg, schedule.images)
        changes |= _workers(cfg, schedule)
        seconds = _seconds(cfg, schedule, changes)
        if changes and seconds < 0.8 * before:
            yield Proposal(f"{what}, {how}", seconds, _command(cfg, changes, what))
            before = seconds
    if cfg.trainer.accelerator == "cpu" and torch.cuda.is_available():
        yield Proposal(
            "on this machine's GPU, which this run leaves alone; at most",
            before, _command(cfg, {"trainer": "gpu"}, "gpu"),
        )  # fmt: skip


def with_lengths(cfg: DictConfig, images: int) -> DictConfig:
    """The configuration with the real number of epochs of every stage.

    Args:
        cfg: the configuration.
        images: N, number of training photos.
    """
    cfg = build.long_enough(cfg, "classifier", images)
    cfg = build.long_enough(cfg, "integral", images)
    return build.long_enough(cfg, "segmenter", max(1, round(images * cfg.segmenter.fraction)))


def _smaller(cfg: DictConfig, factor: float) -> dict[str, object]:
    """Smaller inputs of all networks. Objects keep their share of the input."""
    changes: dict[str, object] = {}
    side = _multiple(cfg.data.input_size * factor, 8)
    if _LEAST_INPUT <= side < cfg.data.input_size:
        changes["data.input_size"] = side
    long_side = cfg.data.get("segmenter_side")
    if long_side is not None:
        crop = _multiple(cfg.data.crop_size * factor, 8) + 1
        if _LEAST_CROP <= crop < cfg.data.crop_size:
            changes["data.crop_size"] = crop
            changes["data.segmenter_side"] = round(long_side * crop / cfg.data.crop_size)
    return changes


def _frozen(cfg: DictConfig) -> dict[str, object]:
    """Do not train the first two blocks of the trunk, which see edges and colours only."""
    return {"net.freeze": 2} if cfg.net.get("freeze") == 0 else {}


def _shorter(cfg: DictConfig, images: int) -> dict[str, object]:
    """Fewer epochs, but still enough steps to learn something."""
    changes: dict[str, object] = {}
    real = with_lengths(cfg, images)
    for stage, epochs in _EPOCHS.items():
        now, least = real[stage].epochs, cfg[stage].get("least_steps")
        needed = math.ceil(_STEPS[stage] / math.ceil(images / real[stage].batch_size))
        if now is not None and now <= max(epochs, needed):
            continue
        changes[f"{stage}.epochs"] = max(epochs, needed)
        if least is not None:
            changes[f"{stage}.least_steps"] = 0
    return changes


def _workers(cfg: DictConfig, schedule: Schedule) -> dict[str, object]:
    """Processes that decode photos, if a training on a GPU waits for photos."""
    waits = any(pace.loading > pace.computing / 2 for pace in schedule.paces.values())
    gpu = cfg.trainer.accelerator != "cpu" and torch.cuda.is_available()
    return {"loader.num_workers": 4} if waits and gpu and not cfg.loader.num_workers else {}


def _seconds(cfg: DictConfig, schedule: Schedule, changes: Mapping[str, object]) -> float:
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
        key = "data.crop_size" if kind in ("segmenter", "scores") else "data.input_size"
        old = float(OmegaConf.select(cfg, key))
        area = (float(str(changes.get(key, old))) / old) ** 2
        frozen = _FROZEN if "net.freeze" in changes and kind in _EPOCHS else 1.0
        loading = pace.loading / 4 if "loader.num_workers" in changes else pace.loading
        factor = (area * frozen * pace.computing + loading) / (pace.computing + pace.loading)
        total += seconds * factor * _epochs_factor(cfg, schedule, kind, changes)
    return total


def _epochs_factor(
    cfg: DictConfig, schedule: Schedule, kind: str, changes: Mapping[str, object]
) -> float:
    if f"{kind}.epochs" not in changes:
        return 1.0
    stage = with_lengths(cfg, schedule.images)[kind]
    new = float(str(changes[f"{kind}.epochs"]))
    if stage.epochs is not None:
        return new / float(stage.epochs)
    return min(1.0, new * schedule.images / float(stage.batch_size * stage.steps))


def _command(cfg: DictConfig, changes: Mapping[str, object], name: str) -> str:
    """This command line with other values and another name, as this run may have started."""
    new = {**changes, "name": f"{cfg.name}-{name}"}
    kept = [word for word in _words() if _key(word) not in new]
    words = ["oaa", "reproduce", *kept, *(f"{key}={value}" for key, value in new.items())]
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """A word quoted for the shell. Around Hydra's single quotes, double ones stay readable."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`!\\') else shlex.quote(word)


def _words() -> Sequence[str]:
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def _key(word: str) -> str:
    return str(OverridesParser.create().parse_override(word).key_or_group)


def _multiple(value: float, of: int) -> int:
    return of * round(value / of)
