"""How a trained segmenter is to see photos: sizes, scales, CRF, device.

A segmenter's folder records all of it. A caller may change it by name; what cannot be changed after
the training is refused, never silently dropped.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from oaa_pl.config.compose import overridden
from oaa_pl.config.recipe import plain
from oaa_pl.errors import ConfigError
from oaa_pl.nets.precision import precision_of
from oaa_pl.stages.views import VIEWS, views_of
from oaa_pl.training.device import device_of, require_device
from oaa_pl.training.precision import AUTO

__all__ = ["looked_at", "seen"]

# What is trained into a network: another value on the command line would have no effect.
_TRAINED = (
    "net", "attention", "data.input_size", "data.crop_size", "data.segmenter_side", "data.classes",
)  # fmt: skip


def seen(
    recorded: DictConfig,
    views: Mapping[str, Any],
    crf: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
) -> DictConfig:
    """What is recorded with a segmenter, with some of it changed.

    Args:
        recorded: the configuration that the segmenter was trained with.
        views: values of `VIEWS` in place of the recorded ones.
        crf: a CRF in place of the recorded one; None: the recorded one.
        trainer: accelerator, devices and precision in place of the recorded ones.
    """
    # The GPUs of its training mean nothing here: the machine may be another.
    device = {"devices": 1, **(trainer or {})}
    changes: list[dict[str, Any]] = [{"evaluate": dict(views)}, {"trainer": device}]
    if crf is not None:
        changes += [{"crf": None}, {"crf": crf}]
    elif recorded.get("crf") is None:
        changes.append({"crf": {"_target_": "oaa_pl.proxy.crf.no_crf", "_partial_": True}})
    return overridden(recorded, *changes)


def looked_at(recorded: DictConfig, cfg: DictConfig, keys: Sequence[str]) -> DictConfig:
    """What is recorded with a segmenter, with what a command line names about seeing photos.

    Args:
        recorded: the configuration that the segmenter was trained with.
        cfg: the command's.
        keys: that the command line names.

    Raises:
        ConfigError: if a value is out of range, if the device is not here or not known, or if a
            value is named that is trained into the network and differs.
    """
    _require_same_network(recorded, cfg, keys)
    views = {
        key: plain(cfg.evaluate[key]) for key in VIEWS if {"evaluate", f"evaluate.{key}"} & {*keys}
    }
    devices = {
        key: plain(cfg.trainer[key])
        for key in ("accelerator", "devices", "precision")
        if {"trainer", f"trainer.{key}"} & {*keys}
    }
    crf = plain(cfg.crf) if _names("crf", keys) else None
    found = seen(recorded, views, crf, devices)
    views_of(found)
    if _names("trainer", keys):
        _require_places(found.trainer, keys)
    return found


def _names(part: str, keys: Sequence[str]) -> bool:
    return any(key == part or key.startswith(f"{part}.") for key in keys)


def _require_places(trainer: DictConfig, keys: Sequence[str]) -> None:
    """Refuse devices that one photo cannot be segmented on."""
    accelerator, devices, precision = trainer.accelerator, trainer.devices, trainer.precision
    require_device(accelerator)
    if "trainer.precision" in keys and precision != AUTO:
        precision_of(precision)
    number = plain(devices)
    one = [number] if isinstance(number, int) and number == 1 else number
    if "trainer.devices" in keys and one != "auto" and not _is_one_place(one):
        raise ConfigError(
            f"trainer.devices={number}: photos are segmented on one device; say 1, or the GPU's "
            "place as in [0]"
        )
    device_of({"accelerator": accelerator, "devices": number})


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
