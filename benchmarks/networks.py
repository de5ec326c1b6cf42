"""Networks from random weights, and a training step of each on noise."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from oaa_pl.losses import image_level_loss
from oaa_pl.nets.attention import AttentionNet
from oaa_pl.nets.lite import EfficientNetLiteTrunk
from oaa_pl.nets.small import SmallTrunk
from oaa_pl.nets.vgg import Vgg16Trunk

__all__ = ["CLASSES", "LITE", "SMALL", "VGG", "Mode", "network", "stepping"]

CLASSES = 20
SMALL, LITE, VGG = "small network", "EfficientNet-Lite0", "VGG-16"


class Mode(NamedTuple):
    """How a training step computes.

    Attributes:
        words: in the table.
        sought: of the ratio to plain float32; empty: nothing.
        last: whether weights have the memory format channels_last.
        half: whether the forward pass is in bfloat16.
        freeze: number of early blocks that are not trained.
        compiled: whether by torch.compile.
        batch: images in a step; None: the recipe's.
        threads: of torch.
    """

    words: str
    sought: str = ""
    last: bool = True
    half: bool = False
    freeze: int = 0
    compiled: bool = False
    batch: int | None = None
    threads: int = 1


def network(name: str, freeze: int = 0) -> tuple[AttentionNet, int, int]:
    """A network from random weights, the batch of its recipe, and the side of its input."""
    if name == SMALL:
        return AttentionNet(SmallTrunk(), CLASSES, 64), 16, 96
    if name == LITE:
        trunk = EfficientNetLiteTrunk(0, "none", freeze=freeze)
        return AttentionNet(trunk, CLASSES, layers=0), 8, 224
    return AttentionNet(Vgg16Trunk("none", freeze=freeze), CLASSES), 5, 224


def stepping(net: AttentionNet, batch: int, side: int, mode: Mode) -> Callable[[], Tensor]:
    """A training step of a network on one batch of noise; it returns the score map."""
    layout = torch.channels_last if mode.last else torch.contiguous_format
    net = net.to(memory_format=layout)
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.9)
    image = torch.randn(batch, 3, side, side).to(memory_format=layout)
    labels = torch.eye(CLASSES).repeat(2, 1)[:batch]
    forward: nn.Module = torch.compile(net) if mode.compiled else net  # type: ignore[assignment]

    def step() -> Tensor:
        torch.set_num_threads(mode.threads)
        with torch.autocast("cpu", torch.bfloat16, enabled=mode.half):
            score_map = forward(image)
        image_level_loss(score_map.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        torch.set_num_threads(1)
        return score_map.detach().float()

    return step
