"""How a trained segmenter looks at photos: sizes, scales, CRF, device.

A segmenter's folder records all of it. `oaa predict` takes what is recorded, changed by what its
own command line names; what that cannot change is refused, never silently dropped.
"""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from oaa_pl.config.compose import overridden
from oaa_pl.config.recipe import plain
from oaa_pl.errors import ConfigError
from oaa_pl.nets.precision import precision_of
from oaa_pl.training.precision import AUTO

__all__ = ["looked_at", "named_keys", "views_of"]

log = logging.getLogger(__name__)

_VIEWS = ("size", "keep_shape", "scales", "flip")
_DEVICES = ("cpu", "gpu", "cuda", "auto")
# What is trained into a network: another value on the command line would have no effect.
_TRAINED = (
    "net", "attention", "data.input_size", "data.crop_size", "data.segmenter_side", "data.classes",
)  # fmt: skip


def views_of(cfg: DictConfig) -> dict[str, Any]:
    """The arguments of `SegmentPhoto` that `evaluate` holds; an older record lacks some.

    Raises:
        ConfigError: if one is of another kind or out of range.
    """
    views = {key: plain(cfg.evaluate.get(key)) for key in _VIEWS}
    views["scales"] = [1.0] if views["scales"] is None else views["scales"]
    for key in ("flip", "keep_shape"):
        views[key] = False if views[key] is None else views[key]
        if not isinstance(views[key], bool):
            raise ConfigError(f"evaluate.{key} must be true or false, got {views[key]!r}")
    size, scales = views["size"], views["scales"]
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise ConfigError(
            f"evaluate.size must be a whole number of pixels, 1 or more, or null for the photo's "
            f"own size, got {size!r}"
        )
    if not isinstance(scales, list) or not scales or not all(map(_is_scale, scales)):
        raise ConfigError(
            f"evaluate.scales must be a list of numbers above 0, such as [0.75,1.0,1.25], got "
            f"{scales!r}"
        )
    return views


def _is_scale(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < float("inf")  # type: ignore[operator]  # a number


def named_keys() -> list[str]:
    """Keys and groups that the command line names, `crf` or `trainer.precision`; of this job."""
    if not HydraConfig.initialized():
        return []
    words = OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task))
    return [str(word.key_or_group) for word in words if word.package is None]


def looked_at(recorded: DictConfig, cfg: DictConfig, keys: Sequence[str]) -> DictConfig:
    """What is recorded with a segmenter, with what the command line names about looking.

    Args:
        recorded: the configuration that the segmenter was trained with.
        cfg: this command's.
        keys: that the command line names.

    Raises:
        ConfigError: if a value is out of range, if the device is not here or not known, or if a
            value is named that is trained into the network and differs.
    """
    _require_same_network(recorded, cfg, keys)
    changes: list[dict[str, Any]] = [
        {"evaluate": {key: plain(cfg.evaluate[key])}}
        for key in _VIEWS
        if {"evaluate", f"evaluate.{key}"} & {*keys}
    ]
    if _names("crf", keys):
        changes += [{"crf": None}, {"crf": plain(cfg.crf)}]
    elif recorded.get("crf") is None:
        changes.append({"crf": {"_target_": "oaa_pl.proxy.crf.no_crf", "_partial_": True}})
    if "trainer" in keys:
        changes += [{"trainer": None}, {"trainer": plain(cfg.trainer)}]
    for key in ("accelerator", "devices", "precision"):
        if f"trainer.{key}" in keys:
            changes.append({"trainer": {key: cfg.trainer[key]}})
    found = overridden(recorded, *changes)
    views_of(found)
    if _names("trainer", keys):
        _require_device(found.trainer, keys)
    return found


def _names(part: str, keys: Sequence[str]) -> bool:
    return any(key == part or key.startswith(f"{part}.") for key in keys)


def _require_device(trainer: DictConfig, keys: Sequence[str]) -> None:
    accelerator, devices, precision = trainer.accelerator, trainer.devices, trainer.precision
    if accelerator not in _DEVICES:
        raise ConfigError(
            f"trainer.accelerator must be one of {', '.join(_DEVICES)} here, got {accelerator!r}"
        )
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"trainer.accelerator={accelerator}: this machine has no CUDA GPU; say trainer=cpu"
        )
    if "trainer.precision" in keys and precision != AUTO:
        precision_of(precision)
    number = plain(devices)
    one = [number] if isinstance(number, int) and number == 1 else number
    if "trainer.devices" in keys and one != "auto" and not _is_one_place(one):
        raise ConfigError(
            f"trainer.devices={number}: photos are segmented on one device; say 1, or the GPU's "
            "place as in [0]"
        )
    if isinstance(number, list) and accelerator != "cpu" and torch.cuda.is_available():
        if not 0 <= number[0] < torch.cuda.device_count():
            raise ConfigError(
                f"trainer.devices={number}: this machine has {torch.cuda.device_count()} GPUs"
            )
        torch.cuda.set_device(number[0])


def _is_one_place(devices: object) -> bool:
    return isinstance(devices, list) and len(devices) == 1 and isinstance(devices[0], int)


def _require_same_network(recorded: DictConfig, cfg: DictConfig, keys: Sequence[str]) -> None:
    """Refuse a value that is trained into the network, is named, and is another one."""
    for key in keys:
        if not any(_names(part, [key]) for part in _TRAINED) or key.endswith(
            (".weights", ".freeze")
        ):
            continue
        # A segmenter of its own network records that one as `net`, and says nothing of the other's.
        if _names("net", [key]) and cfg.segmenter.net is not None:
            continue
        here = plain(OmegaConf.select(cfg, key))
        there = plain(OmegaConf.select(recorded, key))
        if _differ(there, here):
            sized = key.startswith("data.") and key != "data.classes"
            advice = "; say evaluate.size=... for photos of another size" if sized else ""
            shown = f"{here['name']!r}" if isinstance(here, dict) and "name" in here else f"{here}"
            raise ConfigError(
                f"{key}={shown} is not what this segmenter was trained with, and cannot be changed "
                f"afterwards: leave it out, or train with it{advice}"
            )


def _differ(recorded: object, named: object) -> bool:
    """Whether two values differ where both have one, weights and notes apart."""
    if isinstance(recorded, dict) and isinstance(named, dict):
        both = (recorded.keys() & named.keys()) - {"weights", "freeze"}
        return any(_differ(recorded[key], named[key]) for key in both)
    return recorded != named
