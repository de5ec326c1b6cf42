"""A segmentation network with a small head, which learns in few steps.

Batch norm is needed: without it, two random layers after a trunk still predicted "all background"
at the end of short trainings, with VGG-16 and with EfficientNet-Lite.

Shapes: (B, 3, H, W) -> logits (B, C + 1, h, w), channel 0 the background.
"""

from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.nets.trunk import he_init, init_scores, trunk_channels

__all__ = ["SmallHeadNet"]


class SmallHeadNet(nn.Module):
    """A trunk, a 1 x 1 convolution with batch norm, and a 3 x 3 convolution to the classes.

    Attributes:
        last_layers: names of the layers with a higher learning rate for `fast=last`.

    Args:
        trunk: images (B, 3, H, W) to features (B, trunk.out_channels, h, w).
        num_classes: C + 1, foreground classes and background.
        hidden: channels between the two convolutions.
        dropout: probability that a value between them is dropped in training.
        score_std: standard deviation of the last layer's initial weights, above 0.

    Raises:
        ConfigError: if the trunk has no `out_channels`, or `score_std` is not positive.
    """

    last_layers: ClassVar[tuple[str, ...]] = ("head.4",)

    def __init__(
        self,
        trunk: nn.Module,
        num_classes: int,
        hidden: int = 128,
        dropout: float = 0.2,
        score_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        class_scores = nn.Conv2d(hidden, num_classes, kernel_size=3, padding=1)
        self.head = nn.Sequential(
            nn.Conv2d(trunk_channels(trunk), hidden, kernel_size=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            class_scores,
        )
        he_init(self.head)
        init_scores(class_scores, score_std)

    @override
    def forward(self, image: Tensor) -> Tensor:
        """Raw class scores of every cell.

        Args:
            image: normalised for the trunk, (B, 3, H, W).

        Returns:
            Logits, (B, C + 1, h, w); resize to (H, W) before the loss or the arg-max.
        """
        logits: Tensor = self.head(self.trunk(image))
        return logits
