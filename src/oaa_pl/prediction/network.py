"""A segmenter's network, from the configuration that it was trained with."""

from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from oaa_pl.config.compose import compose_group, overridden
from oaa_pl.config.plain import plain
from oaa_pl.errors import ConfigError
from oaa_pl.nets.precision import InPrecision
from oaa_pl.training.precision import accelerator_of, trained_precision

__all__ = ["for_segmenter", "on_device", "segmenter_net", "without_weights"]


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


def segmenter_net(cfg: DictConfig, classes: int) -> nn.Module:
    """The segmentation network, for C classes and the background."""
    net: nn.Module = instantiate(cfg.net.segmenter)(num_classes=classes + 1)
    return net


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
