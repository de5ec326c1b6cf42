"""A frozen head's network whose trunk is trained as well.

Shapes: (B, 3, H, W) -> features (B, F, h, w) -> logits (B, C + 1, h, w), channel 0 the background.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from oaa_pl.nets.frozen_head import FrozenHeadNet, LayeredTrunk

__all__ = ["TunedHeadNet", "TunedTrunk"]


class TunedTrunk(LayeredTrunk):
    """A trunk that is trained as far as the head sees it, with the statistics of its batch norms.

    Args:
        trunk: images (B, 3, H, W) to features (B, trunk.out_channels, h, w); what is frozen in it
            stays so.
        layers: names of its modules whose outputs are joined, all of one grid; None: its output.

    Raises:
        ConfigError: if it has no such module, or one whose output has another grid.
    """

    def __init__(self, trunk: nn.Module, layers: Sequence[str] | None = None) -> None:
        super().__init__(trunk, layers)
        # Lightning's DDP refuses parameters that get no gradient.
        trained = [one for one in trunk.parameters() if one.requires_grad]
        with torch.enable_grad():
            seen = self.blank().sum()
        if trained and seen.requires_grad:
            gradients = torch.autograd.grad(seen, trained, allow_unused=True)
            for parameter, gradient in zip(trained, gradients, strict=True):
                parameter.requires_grad_(gradient is not None)


class TunedHeadNet(FrozenHeadNet):
    """`FrozenHeadNet`, of the same parameters, with a trunk that is trained."""

    kind: ClassVar[type[LayeredTrunk]] = TunedTrunk
