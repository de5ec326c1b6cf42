"""A segmentation network whose trunk is never trained, so that its features need computing once.

The head of `nets.small_head` learns on a trunk as another training left it. Beside the trunk's
output it can see the outputs of earlier layers, which are closer to the photo's edges.

Shapes: (B, 3, H, W) -> features (B, F, h, w) -> logits (B, C + 1, h, w), channel 0 the background.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.errors import ConfigError
from oaa_pl.nets.small_head import SmallHeadNet
from oaa_pl.nets.trunk import trunk_channels, trunk_stride

__all__ = ["FrozenHeadNet", "FrozenTrunk", "LayeredTrunk", "Standardise"]

_PROBE = 64  # pixels of the side of a blank photo, by which the layers' widths are found
_LEAST_DEVIATION = 1e-3  # of a channel that hardly varies: more would be noise


class LayeredTrunk(nn.Module):
    """A trunk whose features are those of some of its layers.

    Args:
        trunk: images (B, 3, H, W) to features (B, trunk.out_channels, h, w).
        layers: names of its modules whose outputs are joined, all of one grid; None: its output.

    Raises:
        ConfigError: if it has no such module, or one whose output has another grid.
    """

    def __init__(self, trunk: nn.Module, layers: Sequence[str] | None = None) -> None:
        super().__init__()
        self.trunk, self.layers = trunk, tuple(layers or ())
        self.stride = trunk_stride(nn.ModuleDict({"trunk": trunk}))
        known = dict(trunk.named_modules())
        if unknown := [name for name in self.layers if name not in known or not name]:
            raise ConfigError(
                f"layers must name modules of {type(trunk).__name__}, got {unknown[0]!r}; it has "
                f"{', '.join(name for name, _ in trunk.named_children())} and those inside"
            )
        self.train()
        self.out_channels = trunk_channels(trunk)
        if self.layers:
            self.out_channels = self.blank().shape[1]

    def blank(self) -> Tensor:
        """The features of a blank photo, (1, out_channels, h, w)."""
        return self(torch.zeros(1, 3, _PROBE, _PROBE))  # type: ignore[no-any-return]  # a Tensor

    @override
    def forward(self, image: Tensor) -> Tensor:
        """Features, (B, out_channels, h, w).

        Args:
            image: normalised for the trunk, (B, 3, H, W).
        """
        if not self.layers:
            output: Tensor = self.trunk(image)
            return output
        seen: dict[str, Tensor] = {}
        hooks = [
            self.trunk.get_submodule(name).register_forward_hook(partial(_keep, seen, name))
            for name in self.layers
        ]
        try:
            self.trunk(image)
        finally:
            for hook in hooks:
                hook.remove()
        found = [seen[name] for name in self.layers]
        grids = {name: tuple(one.shape[2:]) for name, one in seen.items()}
        if len({*grids.values()}) > 1:
            raise ConfigError(f"layers must name modules of one grid, got those of {grids}")
        return torch.cat(found, dim=1)

    @override
    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.trunk.eval()  # running statistics, which the head has learned on
        return self


class FrozenTrunk(LayeredTrunk):
    """A trunk that is never trained: its features have no gradients.

    Args:
        trunk: images (B, 3, H, W) to features (B, trunk.out_channels, h, w).
        layers: names of its modules whose outputs are joined, all of one grid; None: its output.

    Raises:
        ConfigError: if it has no such module, or one whose output has another grid.
    """

    def __init__(self, trunk: nn.Module, layers: Sequence[str] | None = None) -> None:
        super().__init__(trunk.requires_grad_(False), layers)

    @override
    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Features, (B, out_channels, h, w).

        Args:
            image: normalised for the trunk, (B, 3, H, W).
        """
        return super().forward(image)


def _keep(
    seen: dict[str, Tensor], name: str, module: nn.Module, inputs: object, output: Tensor
) -> None:
    del module, inputs
    seen[name] = output


class Standardise(nn.Module):
    """Bring each channel to mean 0 and deviation 1, by moments that are measured once.

    Args:
        channels: F.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("deviation", torch.ones(1, channels, 1, 1))

    def measure(self, features: Iterable[Tensor]) -> None:
        """Measure mean and deviation of every channel.

        Args:
            features: parts of all features, (n, F, h, w) each.
        """
        count, total, squares = 0, torch.zeros(1).double(), torch.zeros(1).double()
        for part in features:
            # In double precision a sum of squares keeps the digits that the mean's takes away.
            values = part.double()
            count += values[:, 0].numel()
            total = total + values.sum((0, 2, 3))
            squares = squares + values.square().sum((0, 2, 3))
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean.view(1, -1, 1, 1))
        self.deviation.copy_(deviation.clamp(min=_LEAST_DEVIATION).view(1, -1, 1, 1))

    @override
    def forward(self, features: Tensor) -> Tensor:
        """Standardised features, of the same shape.

        Args:
            features: (B, F, h, w).
        """
        return (features - self.mean) / self.deviation


class FrozenHeadNet(SmallHeadNet):
    """A small head on the standardised features of a frozen trunk.

    Attributes:
        last_layers: names of the layers with a higher learning rate for `fast=last`.
        kind: of the trunk inside.

    Args:
        trunk: images (B, 3, H, W) to features (B, trunk.out_channels, h, w).
        num_classes: C + 1, foreground classes and background.
        layers: names of the trunk's modules whose outputs the head sees; None: the trunk's output.
        hidden: channels between the head's two convolutions.
        dropout: probability that a value between them is dropped in training.
        score_std: standard deviation of the last layer's initial weights, above 0.

    Raises:
        ConfigError: if the trunk has no `out_channels` or no such layers, or `score_std` is not
            positive.
    """

    last_layers: ClassVar[tuple[str, ...]] = ("head.5",)
    kind: ClassVar[type[LayeredTrunk]] = FrozenTrunk

    def __init__(
        self,
        trunk: nn.Module,
        num_classes: int,
        layers: Sequence[str] | None = None,
        hidden: int = 128,
        dropout: float = 0.2,
        score_std: float = 0.01,
    ) -> None:
        layered = self.kind(trunk, layers)
        super().__init__(layered, num_classes, hidden, dropout, score_std)
        self.standardise = Standardise(layered.out_channels)
        self.head.insert(0, self.standardise)
