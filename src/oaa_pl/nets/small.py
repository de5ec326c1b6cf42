"""A small trunk for the embedded data set: trained from scratch in a minute on two CPU cores.

Shapes: (B, 3, H, W) -> (B, out_channels, H / stride, W / stride); H and W multiples of the stride.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from oaa_pl.errors import ConfigError
from oaa_pl.nets.trunk import he_init

__all__ = ["SmallTrunk"]


class SmallTrunk(nn.Module):
    """Convolutions of 3 x 3, the stride taken by the first ones; no pretrained weights exist.

    The field of view is kept narrow on purpose (19 pixels with the default widths and stride 4):
    a wider one lets a cell score for an emblem that lies beside it, and attention blurs.

    Args:
        widths: output channels of the convolutions, at least as many as the stride has factors
            of two; the second, fourth, ... do not stride, the last gives `out_channels`.
        stride: 2, 4 or 8.
        groups: groups of the group normalisation behind each convolution; 0 leaves it out.

    Attributes:
        out_channels: channels of the features.
        stride: pixels of the input per cell of the features.

    Raises:
        ConfigError: if `stride` is not 2, 4 or 8, if there are too few widths, or if a width is
            not a positive multiple of `groups`.
    """

    def __init__(
        self, widths: Sequence[int] = (24, 32, 64, 64), stride: int = 4, groups: int = 8
    ) -> None:
        super().__init__()
        if stride not in (2, 4, 8):
            raise ConfigError(f"stride must be 2, 4 or 8, got {stride}; 4 fits inputs near 96 px")
        strided = range(0, 2 * (stride.bit_length() - 1), 2)  # positions of the halving layers
        if len(widths) <= strided[-1]:
            raise ConfigError(
                f"widths must list at least {strided[-1] + 1} layers for stride {stride}, "
                f"got {list(widths)}; add layers or lower the stride"
            )
        if any(width < 1 or (groups and width % groups) for width in widths):
            raise ConfigError(
                f"widths must be positive multiples of groups={groups}, got {list(widths)}; "
                f"groups=0 leaves the normalisation out"
            )
        self.out_channels = widths[-1]
        self.stride = stride
        layers: list[nn.Module] = []
        width = 3
        for position, wider in enumerate(widths):
            step = 2 if position in strided else 1
            # The normalisation has its own shift, which makes a bias before it idle.
            layers.append(nn.Conv2d(width, wider, 3, stride=step, padding=1, bias=groups == 0))
            if groups:
                layers.append(nn.GroupNorm(groups, wider))
            layers.append(nn.ReLU(inplace=True))
            width = wider
        self.features = nn.Sequential(*layers)
        he_init(self.features)

    def forward(self, image: Tensor) -> Tensor:
        """Features of every cell.

        Args:
            image: normalised, (B, 3, H, W).

        Returns:
            Features, 0 or more, (B, out_channels, H / stride, W / stride).
        """
        features: Tensor = self.features(image)
        return features
