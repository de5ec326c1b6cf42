"""From a composed configuration to the objects of a stage: sources, networks, loaders."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import nn

from oaa_pl.config.compose import overridden
from oaa_pl.config.plain import plain
from oaa_pl.config.sources import maps_of, pairs_of, require_values, sources, unsaid_classes
from oaa_pl.config.trainer_key import import_callbacks, trainer_key
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.source import Source, fingerprint
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.errors import ConfigError
from oaa_pl.prediction.network import for_segmenter, on_device, segmenter_net, without_weights

__all__ = [
    "attention_net", "datamodule", "for_segmenter", "long_enough", "made_from", "maps_of",
    "on_device", "pairs_of", "plain", "require_extras", "require_values", "segmenter_net",
    "sources", "unsaid_classes", "without_weights",
]  # fmt: skip


def attention_net(cfg: DictConfig, classes: int) -> nn.Module:
    """The network of the classifier and of the integral model."""
    net: nn.Module = instantiate(cfg.net.attention)(num_classes=classes)
    return net


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


def require_extras(cfg: DictConfig) -> None:
    """Refuse, before hours of training, a CRF that could not be made after them.

    Raises:
        ConfigError: if a CRF's extra is not installed, or a number of it is out of range.
    """
    for crf in (cfg.crf, cfg.label.crf):
        instantiate(crf)


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


def _without_paths(node: Any) -> Any:
    """A record in which weights are known by their file's name, wherever the file lies."""
    if isinstance(node, dict):
        return {
            key: Path(value).name if key == "weights" else _without_paths(value)
            for key, value in node.items()
        }
    return node
