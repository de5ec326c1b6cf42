"""Which device a network runs on: the only file that interprets `trainer.accelerator` for it."""

import logging
from collections.abc import Mapping
from typing import Any

import torch

from oaa_pl.errors import ConfigError
from oaa_pl.training.notice import say_once

__all__ = ["accelerator_of", "device_of", "require_device"]

log = logging.getLogger(__name__)

_ACCELERATORS = ("cpu", "gpu", "cuda", "mps", "auto")
# How a user chooses a CPU, by the name of the value.
_CPU = {"trainer.accelerator": "trainer=cpu", "device": "device='cpu'"}


def accelerator_of(wanted: Any) -> str:
    """The kind of device that a network runs on: "cpu", "cuda" or "mps".

    Args:
        wanted: `trainer.accelerator`.
    """
    if wanted in ("gpu", "cuda", "auto") and torch.cuda.is_available():
        return "cuda"
    if wanted in ("gpu", "mps", "auto") and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def device_of(settings: Mapping[str, Any]) -> torch.device:
    """The one device of what runs without a Trainer: maps, scores and predictions.

    If a GPU is named that this machine lacks, it is the CPU, with a line in the log: a run may
    continue on another machine.

    Args:
        settings: `trainer` of a configuration, as plain values. Of `devices: [2, 3]` the first is
            used. A number of devices leaves the choice to CUDA.

    Raises:
        ConfigError: if this machine has no GPU at that place.
    """
    accelerator, places = settings.get("accelerator"), _places(settings.get("devices"))
    kind = accelerator_of(accelerator)
    if kind == "cpu" and accelerator not in ("cpu", "auto", None):
        say_once(
            log, logging.WARNING,
            f"trainer.accelerator={accelerator}: this machine has no such device; the CPU is used",
        )  # fmt: skip
    if kind != "cuda" or not places:
        return torch.device(kind)
    if not 0 <= places[0] < torch.cuda.device_count():
        raise ConfigError(
            f"trainer.devices={settings['devices']}: this machine has "
            f"{torch.cuda.device_count()} GPUs"
        )
    return torch.device(kind, places[0])


def require_device(accelerator: object, called: str = "trainer.accelerator") -> None:
    """Refuse a kind of device that is not known, or not in this machine.

    Args:
        accelerator: "cpu", "gpu", "cuda", "mps" or "auto".
        called: the name of the value in an error.

    Raises:
        ConfigError: if it is another one, or needs a GPU that this machine lacks.
    """
    if accelerator not in _ACCELERATORS:
        raise ConfigError(
            f"{called} must be one of {', '.join(_ACCELERATORS)} here, got {accelerator!r}"
        )
    if accelerator not in ("cpu", "auto") and accelerator_of(accelerator) == "cpu":
        name = {"cuda": "CUDA GPU", "mps": "Apple GPU"}.get(str(accelerator), "GPU")
        raise ConfigError(f"{called}={accelerator}: this machine has no {name}; say {_CPU[called]}")


def _places(devices: Any) -> list[int]:
    """The places that `trainer.devices` names, as [2, 3] or "2,3"; none if it is a number."""
    if isinstance(devices, str) and "," in devices:
        devices = [word for word in devices.split(",") if word.strip()]
    try:
        return [int(one) for one in devices] if isinstance(devices, list | tuple) else []
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"trainer.devices must be a number, auto, or places of GPUs, got {devices!r}"
        ) from error
