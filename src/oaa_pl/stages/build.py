"""From a composed configuration to the objects of a stage: sources, networks, loaders."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import nn

from oaa_pl.config.compose import compose_group, overridden
from oaa_pl.config.sources import maps_of, pairs_of, require_values, sources, unsaid_classes
from oaa_pl.config.trainer_key import import_callbacks, trainer_key
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.source import Source, fingerprint
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.nets.precision import InPrecision
from oaa_pl.training.precision import accelerator_of, trained_precision

__all__ = [
    "attention_net", "datamodule", "for_segmenter", "long_enough", "made_from", "maps_of",
    "pairs_of", "require_extras", "require_values", "segmenter_net", "sources", "unsaid_classes",
]  # fmt: skip


def attention_net(cfg: DictConfig, classes: int) -> nn.Module:
    """The network of the classifier and of the integral model."""
    net: nn.Module = instantiate(cfg.net.attention)(num_classes=classes)
    return net


def for_segmenter(cfg: DictConfig) -> DictConfig:
    """The configuration with the segmenter's network in the place of the attention models'.

    The paper's Table 1 trains two segmentation networks on the labels of one attention model.

    Raises:
        ConfigError: if there is no such network, or its trunk is to come from the classifier.
    """
    # `get`: the record of an older run has neither.
    name, weights = cfg.segmenter.get("net"), cfg.segmenter.get("weights")
    changes: list[dict[str, Any]] = []
    if name is not None:
        if cfg.segmenter.init != "net":
            raise ConfigError(
                f"segmenter.init={cfg.segmenter.init} takes the classifier's trunk, which "
                f"segmenter.net={name} cannot take; say segmenter.init=net"
            )
        changes += [{"net": None}, {"net": compose_group("net", name)}]
    if weights is not None:
        changes += [{"net": {"weights": weights}}]
    return overridden(cfg, *changes, {"segmenter": {"net": None, "weights": None}})


def long_enough(cfg: DictConfig, stage: str, images: int) -> DictConfig:
    """The configuration with as many epochs of a stage as make its `least_steps`, if it has any.

    What a network needs are steps: fifteen epochs of fifty photos leave a segmenter at "all
    background". The key itself is dropped, so that the record says how many epochs there were.

    Args:
        cfg: the configuration.
        stage: its part: "classifier", "integral" or "segmenter".
        images: N, that the stage trains on.

    Raises:
        ConfigError: if `least_steps` is no number of steps.
    """
    part = plain(cfg[stage])
    if "least_steps" not in part:
        return cfg
    least = part.pop("least_steps")
    if least is not None and (not isinstance(least, int) or isinstance(least, bool) or least < 0):
        raise ConfigError(f"{stage}.least_steps must be a whole number or null, got {least!r}")
    if part["epochs"] is not None and least:
        batches = math.ceil(images / part["batch_size"])
        part["epochs"] = max(part["epochs"], math.ceil(least / batches))
    return overridden(cfg, {stage: None}, {stage: part})


def segmenter_net(cfg: DictConfig, classes: int) -> nn.Module:
    """The segmentation network, for C classes and the background."""
    net: nn.Module = instantiate(cfg.net.segmenter)(num_classes=classes + 1)
    return net


def require_extras(cfg: DictConfig) -> None:
    """Refuse, before hours of training, a CRF that could not be made after them.

    Raises:
        ConfigError: if a CRF's extra is not installed, or a number of it is out of range.
    """
    for crf in (cfg.crf, cfg.label.crf):
        instantiate(crf)


def on_device(cfg: DictConfig, net: nn.Module) -> nn.Module:
    """A network ready to be asked: on the trainer's device, in its memory format and precision.

    Args:
        cfg: the configuration; its `trainer.precision` is the network's own.
        net: images (B, 3, H, W) to maps (B, C, h, w).

    Returns:
        The same, not training; its answers are float32.

    Raises:
        ConfigError: if there is no such precision.
    """
    device = "cuda" if accelerator_of(cfg) == "cuda" else "cpu"
    layout = torch.channels_last if cfg.net.channels_last else torch.contiguous_format
    # Not `net.to(device, memory_format=...)`: its annotation knows only one of the two.
    ready = net.to(device).to(memory_format=layout).eval()
    return InPrecision(ready, trained_precision(cfg, device)).eval()


def without_weights(cfg: DictConfig) -> DictConfig:
    """The configuration of a network whose weights will come from a checkpoint.

    A recorded configuration is resolved: each part of it names the weights' file for itself, which
    may have gone since.
    """
    return overridden(cfg, {"net": _weightless(plain(cfg.net))})


def _weightless(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: "none" if key == "weights" and value is not None else _weightless(value)
            for key, value in node.items()
        }
    return node


def recorded_classes(folder: Path) -> tuple[str, ...]:
    """Names of the foreground classes that a stage was trained on.

    Raises:
        MissingInputError: if the stage's record is missing or has none.
    """
    path = folder / "stage.json"
    try:
        return tuple(map(str, json.loads(path.read_text(encoding="utf-8"))["classes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingInputError(f"{path} does not name the classes ({error!r})") from error


def view_transform(cfg: DictConfig, name: str) -> ViewTransform:
    """One of the data set's transforms, with the network's normalisation."""
    return ViewTransform(instantiate(cfg.data[name]), cfg.net.mean, cfg.net.std)


def datamodule(
    cfg: DictConfig,
    train: Source,
    val: Source | None,
    batch_size: int,
    *,
    transform: str = "train_transform",
    soft_labels: Callable[[int], NDArray[np.float32]] | None = None,
    proxy_labels: Callable[[int], NDArray[np.uint8]] | None = None,
) -> OaaDataModule:
    """The loaders of a stage.

    Args:
        cfg: the configuration.
        train: photos and tags to train on.
        val: photos and tags to validate on, or None.
        batch_size: of training, per process.
        transform: which of the data set's transforms training uses.
        soft_labels: index to cumulative attention (C, h, w), for the integral model.
        proxy_labels: index to label map (H, W), for the segmenter.
    """
    return OaaDataModule(
        train,
        val,
        view_transform(cfg, transform),
        view_transform(cfg, "eval_transform"),
        batch_size,
        num_workers=cfg.loader.num_workers,
        seed=cfg.seed,
        soft_labels=soft_labels,
        proxy_labels=proxy_labels,
        eval_batch_size=cfg.loader.eval_batch_size,
        shuffle=cfg.loader.shuffle,
    )


def made_from(cfg: DictConfig, train: Source, *, net: str, **parts: Any) -> dict[str, Any]:
    """What determines a stage's outcome, paths and machine apart.

    Args:
        cfg: the configuration.
        train: the training source, by its fingerprint.
        net: the network that is trained, "attention" or "segmenter"; the other does not matter.
        **parts: the stage's own parts: configuration nodes and plain values.
    """
    other = {"attention", "segmenter"} - {net}
    network = {key: value for key, value in plain(cfg.net).items() if key not in other}
    import_callbacks(cfg)
    trainer = trainer_key(cfg)
    return {
        "seed": cfg.seed,
        "data": fingerprint(train),
        "input": [plain(cfg.data.train_transform), plain(cfg.data.eval_transform)],
        "net": _without_paths(network),
        "precision": cfg.trainer.precision,
        # Left out where it says nothing, as in the records of older packages.
        **({"trainer": trainer} if trainer else {}),
        "shuffle": cfg.loader.shuffle,
        **{name: plain(part) for name, part in parts.items()},
    }


def plain(part: Any) -> Any:
    """A part of the configuration as plain, resolved values; anything else as it is."""
    return OmegaConf.to_container(part, resolve=True) if OmegaConf.is_config(part) else part


def _without_paths(node: Any) -> Any:
    """A record in which weights are known by their file's name, wherever the file lies."""
    if isinstance(node, dict):
        return {
            key: Path(value).name if key == "weights" else _without_paths(value)
            for key, value in node.items()
        }
    return node
