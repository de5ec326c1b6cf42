"""Trunks by name from a library of networks: what timm's and torchvision's have in common.

Shapes: (B, 3, H, W) -> (B, out_channels, about H / stride, about W / stride).
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.errors import ConfigError
from oaa_pl.nets.probe import evaluating
from oaa_pl.nets.trunk import norms_to_evaluation

__all__ = ["NamedTrunk", "input_statistics", "strides"]

_PREFERRED_STRIDE = 16


class NamedTrunk(nn.Module):
    """A network of a library without its pooling and classifier.

    Attributes:
        out_channels: channels of the features.
        stride: pixels of a cell's side.

    Args:
        name: the network's, as its library has it.
        patch: sides of the input have to be multiples of it.
        side: the only side that the input may have; None: any.
        freeze_norm: keep every batch norm's running statistics, even while training.
    """

    def __init__(self, name: str, patch: int, side: int | None, freeze_norm: bool) -> None:
        super().__init__()
        self.name, self.patch, self.side, self.freeze_norm = name, patch, side, freeze_norm
        self.out_channels = self.stride = self._measured = 0  # `_measure` finds them

    def _features(self, image: Tensor) -> Tensor:
        """The network's features (B, D, h, w) of images (B, 3, H, W)."""
        raise NotImplementedError

    @override
    def forward(self, image: Tensor) -> Tensor:
        """Features of every cell.

        Args:
            image: normalised by the network's mean and std, (B, 3, H, W).

        Returns:
            (B, out_channels, h, w).

        Raises:
            ConfigError: if the network cannot take images of this size.
        """
        height, width = image.shape[2:]
        if self.side is not None and (height, width) != (self.side, self.side):
            raise ConfigError(
                f"{self.name} takes images of {self.side} x {self.side} pixels alone, got "
                f"{height} x {width}; give data.input_size={self.side} and data.crop_size="
                f"{self.side}, or take a network of net=timm, whose transformers take others"
            )
        if height % self.patch or width % self.patch or min(height, width) < self.stride:
            raise ConfigError(
                f"{self.name} has cells of {self.stride} pixels and patches of {self.patch}, which "
                f"images of {height} x {width} pixels cannot be divided into; give sides that are "
                f"multiples of {max(self.stride, self.patch)} (data.input_size, data.crop_size)"
            )
        try:
            return self._features(image)
        except (RuntimeError, AssertionError) as error:
            if self._measured in (height, width) or isinstance(error, torch.OutOfMemoryError):
                raise
            raise ConfigError(
                f"{self.name} cannot take images of {height} x {width} pixels "
                f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); give "
                f"sides that are multiples of {self._measured} (data.input_size, data.crop_size)"
            ) from error

    @override
    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.freeze_norm:
            norms_to_evaluation(self)
        return self

    def _measure(self, side: int) -> None:
        """Find channels and stride by a run, and freeze what the features do not depend on.

        A parameter that never has a gradient stops a training in several processes.
        """
        image = torch.zeros(1, 3, side, side)
        trained = [p for p in self.parameters() if p.requires_grad]
        with evaluating(self), torch.random.fork_rng([]), torch.enable_grad():
            features = self._features(image)
            grads: Sequence[Tensor | None] = torch.autograd.grad(
                features.sum(), trained, allow_unused=True
            )
        for parameter, grad in zip(trained, grads, strict=True):
            if grad is None:
                parameter.requires_grad_(False)
        self._measured = side
        self.out_channels = features.shape[1]
        self.stride = round(side / features.shape[2])

    def _check_stride(self, asked: int | None) -> None:
        if asked is not None and asked != self.stride:
            raise ConfigError(
                f"{self.name} has a stride of {self.stride} pixels and cannot be dilated to "
                f"{asked}; leave it out (net.stride=null), or take a network that can: ResNet, "
                "RegNet, EfficientNet or ConvNeXt of net=timm"
            )


def strides(asked: int | None) -> tuple[int | None, ...]:
    """The strides to try, in order; None: the network's own.

    Args:
        asked: 8, 16 or 32; None: 16 where the network can be dilated.
    """
    return (asked or _PREFERRED_STRIDE, None)


def input_statistics(library: str, name: str, which: str) -> list[float]:
    """Mean or deviation of the images that a network's published weights were trained on.

    Args:
        library: `timm` or `torchvision`.
        name: the network's name there.
        which: `mean` or `std`.

    Returns:
        Three numbers, R, G and B, in units of the range [0, 1].

    Raises:
        ConfigError: if the library is not installed, has no such network, or has no record of it.
    """
    if library == "timm":
        from oaa_pl.nets.timm_trunk import timm_record as record
    elif library == "torchvision":
        from oaa_pl.nets.torchvision_trunk import torchvision_record as record
    else:
        raise ConfigError(f"there is no library {library!r}; known are timm and torchvision")
    return [float(value) for value in record(name)[which]]
