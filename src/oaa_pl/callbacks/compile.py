"""Compile the network of a training with `torch.compile`."""

from typing import Any

import torch
from torch import nn
from typing_extensions import override

from oaa_pl.callbacks.lightning import Callback, LightningModule, Trainer
from oaa_pl.errors import ConfigError

__all__ = ["CompileNetwork"]


class CompileNetwork(Callback):
    """Compile what a training's steps call, in place: the names of the weights stay.

    It rounds otherwise than the same network without it, so it is part of a stage's record.

    Args:
        layer: the attribute of the LightningModule that is compiled, `net` for all of ours.
        **options: of `torch.compile`: `backend`, `mode`, `dynamic`.

    Raises:
        ConfigError: if torch has no such backend; when the training starts, if the module has no
            such layer.
    """

    def __init__(self, layer: str = "net", **options: Any) -> None:
        backend = options.get("backend", "inductor")
        if isinstance(backend, str) and backend not in torch.compiler.list_backends(()):
            raise ConfigError(
                f"backend must be one of {', '.join(torch.compiler.list_backends())}, got "
                f"{backend!r}"
            )
        self.layer, self.options = layer, options

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        net = getattr(pl_module, self.layer, None)
        if not isinstance(net, nn.Module):
            raise ConfigError(
                f"{type(pl_module).__name__} has no layer {self.layer!r} to compile; give "
                "CompileNetwork(layer=...)"
            )
        net.compile(**self.options)
