"""Lightning's precisions: the type of a network's weights, and autocast.

The only file that interprets `trainer.precision`. Training, maps, scores and predictions use it.

Shapes: B images of H x W pixels; C maps of h x w cells.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.errors import ConfigError

__all__ = ["InPrecision", "Precision", "precision_of"]


@dataclass(frozen=True)
class Precision:
    """One of Lightning's precisions.

    Attributes:
        name: Lightning's name.
        weights: type of the weights and of the input images.
        lower: type that autocast computes convolutions in; None: no autocast.
    """

    name: str
    weights: torch.dtype = torch.float32
    lower: torch.dtype | None = None

    @property
    def computes_bfloat16(self) -> bool:
        """Whether convolutions are computed in bfloat16."""
        return torch.bfloat16 in (self.weights, self.lower)

    def on(self, device: str) -> "Precision":
        """What this precision is on a device, in a training and after it.

        16-mixed on a CPU is 32-true: float16's loss scaling needs a GPU, and float32 has every
        value that float16 has. Lightning would use bf16-mixed, which has fewer digits than float16
        and is slow on many CPUs.

        Args:
            device: "cpu", "cuda" or "mps".

        Raises:
            ConfigError: if the device does not support the type.
        """
        if device == "mps" and self.weights == torch.float64:
            raise ConfigError(
                f"trainer.precision={self.name} needs float64, which Apple's GPUs do not have; use "
                "trainer=cpu, or trainer.precision=32-true"
            )
        return _KNOWN["32-true"] if device == "cpu" and self.name == "16-mixed" else self

    def autocast(self, device: str) -> AbstractContextManager[object]:
        """The context for the forward pass of a trained network.

        Args:
            device: "cpu", "cuda" or "mps".
        """
        lower = self.on(device).lower
        return torch.autocast(device, lower or torch.bfloat16, enabled=lower is not None)


_KNOWN = {
    one.name: one
    for one in (
        Precision("32-true"),
        Precision("bf16-mixed", lower=torch.bfloat16),
        Precision("16-mixed", lower=torch.float16),
        Precision("bf16-true", weights=torch.bfloat16),
        Precision("16-true", weights=torch.float16),
        Precision("64-true", weights=torch.float64),
    )
}

# Lightning's short forms, also as numbers.
_SHORT = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}


def precision_of(asked: object) -> Precision:
    """The precision for a value of `trainer.precision`.

    Args:
        asked: Lightning's name, or its short form as text or as a whole number.

    Raises:
        ConfigError: if the precision is unknown or not supported.

    Examples:
        >>> precision_of(16).name
        '16-mixed'
    """
    name = _SHORT.get(str(asked), str(asked))
    if name in _KNOWN:
        return _KNOWN[name]
    known = f"auto, {', '.join(_KNOWN)}, or for short {', '.join(_SHORT)}"
    if name.startswith("transformer-engine"):
        raise ConfigError(
            f"trainer.precision={asked} is not supported: it replaces layers of the network, so "
            f"that no later stage could read its checkpoint; use one of {known}"
        )
    raise ConfigError(f"trainer.precision must be one of {known}; got {asked!r}")


class InPrecision(nn.Module):
    """A trained network that computes in the precision of its training.

    Args:
        net: images (B, 3, H, W) to maps (B, C, h, w); its weights are converted.
        precision: of the training.
    """

    def __init__(self, net: nn.Module, precision: Precision) -> None:
        super().__init__()
        self.net = net.to(precision.weights)
        self.precision = precision

    @override
    def forward(self, image: Tensor) -> Tensor:
        with self.precision.autocast(image.device.type):
            maps: Tensor = self.net(image.to(self.precision.weights))
        return maps.float()
