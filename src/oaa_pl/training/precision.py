"""Choose the precision of a stage: the given one, the recorded one, or the best on this machine.

The precision affects the result of a stage. So a resumed stage keeps its precision, and the later
stages of a run use the precision of its classifier, on any machine.
"""

import json
import logging
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.nets.precision import Precision, precision_of
from oaa_pl.nets.processor import bfloat16_on
from oaa_pl.training.device import accelerator_of
from oaa_pl.training.notice import say_once
from oaa_pl.training.trainer_plan import TrainerPlan

__all__ = ["AUTO", "Settled", "as_trained", "settle", "trained_precision"]

log = logging.getLogger(__name__)

AUTO = "auto"


class Settled(NamedTuple):
    """A trainer whose precision is known.

    Attributes:
        trainer: its precision is one of Lightning's.
        facts: for the stage's record: what the configuration says, what is used, and why.
    """

    trainer: TrainerPlan
    facts: dict[str, str]


def settle(
    trainer: TrainerPlan, folder: Path, classifier: Path, full_on_cpu: str | None = None
) -> Settled:
    """Decide in which precision a stage trains, before the stage makes any file.

    Args:
        trainer: its precision may be "auto".
        folder: the stage's folder; one that has a checkpoint keeps its precision.
        classifier: folder of the run's classifier, whose precision "auto" uses.
        full_on_cpu: name of the network, if it gains nothing from bfloat16 on a CPU.

    Raises:
        ConfigError: if there is no such precision, or the device cannot compute in it.
    """
    asked, device = trainer.precision, accelerator_of(trainer.settings.get("accelerator"))
    own = _recorded(folder)
    # A finished stage computes nothing, so its precision needs no message.
    say = partial(say_once, log) if not (folder / "done.json").is_file() else _nothing
    used: str | int
    if asked != AUTO:
        used, why = precision_of(asked).on(device).name, "as configured"
        if own is not None and (
            # Or the same word, which an older package understood differently on this device.
            precision_of(own.used).name in (precision_of(asked).name, used)
            or own.asked == str(asked)
        ):
            used = own.used  # as it is spelt in the record, which is compared
    elif (before := own or _recorded(classifier)) is not None:
        # A later stage's own record is new: it need not repeat an old one's spelling.
        used = before.used if own else precision_of(before.used).name
        why = before.why or "as recorded"
        here, reason = _chosen(device, full_on_cpu)
        if precision_of(used).name != here:
            say(
                logging.INFO,
                f"precision {used}: kept, since this run has it; auto would choose {here} here, "
                f"since {reason}",
            )
    else:
        used, why = _chosen(device, full_on_cpu)
        say(logging.INFO, f"precision {used}: chosen by auto, since {why}")
    meant = precision_of(used)
    if asked != AUTO and precision_of(asked).on(device) == meant:
        meant = precision_of(asked)  # for the notice that it is another one on this device
    for notice in _notices(meant, device):
        say(logging.WARNING, notice)
    facts = {"asked": str(asked), "used": str(used), "why": why}
    return Settled(trainer.changed(precision=used), facts)


def as_trained(trainer: TrainerPlan, folder: Path, full_on_cpu: str | None = None) -> TrainerPlan:
    """The trainer's settings for inference with the model in a stage's folder.

    Args:
        trainer: if it names a precision, that one is used.
        folder: the stage's folder; "auto" means the precision recorded there.
        full_on_cpu: name of the network, if it gains nothing from bfloat16 on a CPU.
    """
    if trainer.precision != AUTO:
        return trainer
    recorded = _recorded(folder)
    device = accelerator_of(trainer.settings.get("accelerator"))
    used = recorded.used if recorded else _chosen(device, full_on_cpu)[0]
    return trainer.changed(precision=used)


def trained_precision(name: Any, device: str) -> Precision:
    """The precision for inference with a trained network; warn if this device has another.

    Args:
        name: of its training, one of Lightning's.
        device: "cpu", "cuda" or "mps".

    Raises:
        ConfigError: if there is no such precision, or the device cannot compute in it.
    """
    precision = precision_of(name)
    for notice in _notices(precision, device):
        say_once(log, logging.WARNING, notice)
    return precision.on(device)


def _notices(precision: Precision, device: str) -> list[str]:
    """What a user should know of a precision on a device."""
    used = precision.on(device)
    other = f"precision {precision.name} needs a GPU; on a CPU it is {used.name}"
    return [*([other] if used != precision else []), *filter(None, [_imitated(used, device)])]


def _imitated(precision: Precision, device: str) -> str | None:
    """A warning if the processor has no instructions for a precision; None if it has them."""
    if device != "cpu":
        return None
    if precision.computes_bfloat16:
        native, why = bfloat16_on(device)
    else:
        # Training in float16 on a CPU is rare, so we do not search for the few CPUs that have it.
        native, why = precision.weights != torch.float16, "float16 is for GPUs"
    if native:
        return None
    return (
        f"precision {precision.name} is slow here, often ten times slower than float32: {why}; "
        "a new run is faster with trainer.precision=auto"
    )


def _nothing(_level: int, _message: str) -> None:
    pass


def _chosen(device: str, full_on_cpu: str | None) -> tuple[str, str]:
    """What suits a network on a device, and why."""
    if device == "cpu" and full_on_cpu is not None:
        return "32-true", f"{full_on_cpu} gains little or nothing from bfloat16 on a CPU"
    native, why = bfloat16_on(device)
    if native:
        return "bf16-mixed", why
    return "16-mixed" if device == "cuda" else "32-true", why


class _Recorded(NamedTuple):
    """A stage's precision as its record has it: the used one, why, and the configured one."""

    used: Any
    why: str
    asked: str


def _recorded(folder: Path) -> _Recorded | None:
    """The record of a stage that has a result or a checkpoint."""
    if not any((folder / name).is_file() for name in ("done.json", LAST)):
        return None
    try:
        record = json.loads((folder / "stage.json").read_text())
        value, facts = record["made_from"]["precision"], record.get("precision", {})
        return _Recorded(value, str(facts.get("why", "")), str(facts.get("asked", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # the stage itself reports a damaged record
