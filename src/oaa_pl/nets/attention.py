"""The attention network, used as the classifier and as the integral model.

Source: Jiang et al., ICCV 2019, sections 3.1 and 3.3: a trunk, three convolutions with ReLU (3 x 3
as in the release) and a 1 x 1 class-aware convolution; its output F is both the class score, by
global average pooling, and the attention map, by Eq. (2).

Shapes: (B, 3, H, W) -> score_map (B, C, H / stride, W / stride).
"""

import itertools

from torch import Tensor, nn

from oaa_pl.errors import ConfigError
from oaa_pl.nets.trunk import he_init, init_scores, trunk_channels

__all__ = ["AttentionNet"]


class AttentionNet(nn.Module):
    """A trunk and the paper's class-aware head.

    Args:
        trunk: images (B, 3, H, W) to features (B, trunk.out_channels, h, w).
        num_classes: C, foreground classes, without background.
        hidden: channels of the 3 x 3 convolutions.
        score_std: standard deviation of the class-aware layer's initial weights, above 0. Features
            of a trunk without pretraining are ten times smaller than VGG-16's, and need 0.1.
        layers: number of 3 x 3 convolutions before the class-aware one, 0 or more.

    Raises:
        ConfigError: if the trunk has no `out_channels`, `score_std` is not positive, or `layers` is
            negative.
    """

    def __init__(
        self,
        trunk: nn.Module,
        num_classes: int,
        hidden: int = 512,
        score_std: float = 0.01,
        layers: int = 3,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        if layers < 0:
            raise ConfigError(f"layers must be 0 or more convolutions, got {layers}")
        widths = [trunk_channels(trunk), *[hidden] * layers]
        class_scores = nn.Conv2d(widths[-1], num_classes, kernel_size=1)
        before: list[nn.Module] = []
        for width, wider in itertools.pairwise(widths):
            before += [nn.Conv2d(width, wider, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
        self.head = nn.Sequential(*before, class_scores)
        # VGG-16's features are large (root mean square about 10), and He's init keeps that size. On
        # the last layer it would give initial scores of 14: with lr 1e-3 no training recovered.
        # Release: std 0.01 on all four layers. That trains too, with a slower first epoch.
        he_init(self.head)
        init_scores(class_scores, score_std)

    def forward(self, image: Tensor) -> Tensor:
        """Raw class scores of every cell, F in the paper.

        Args:
            image: normalised for the trunk, (B, 3, H, W).

        Returns:
            Raw scores, (B, C, h, w).
        """
        score_map: Tensor = self.head(self.trunk(image))
        return score_map
