"""DeepLab-LargeFOV, the segmentation network trained on the proxy labels.

Source: Chen et al., ICLR 2015, section 4.2 ("LargeFOV": fc6 as 3 x 3 with 1024 channels and input
stride 12); named by Jiang et al., ICCV 2019, section 4.1.

Shapes: (B, 3, H, W) -> logits (B, C + 1, H / stride, W / stride), channel 0 the background.
"""

from typing import ClassVar

from torch import Tensor, nn

from oaa_pl.nets.fully_connected import decimate, why_unfit
from oaa_pl.nets.trunk import he_init, init_scores, trunk_channels

__all__ = ["DeepLabLargeFov"]


class DeepLabLargeFov(nn.Module):
    """A trunk and the LargeFOV classifier of every cell.

    fc6 and fc7 start from the fully connected layers in the trunk's weights file, if the file has
    them with fitting shapes; otherwise from random numbers.

    Attributes:
        last_layers: names of the layers with a higher learning rate: Chen et al. give "0.01 for the
            final classifier layer" at a rate of 0.001.
        start: one line about what fc6 and fc7 start from.

    Args:
        trunk: images (B, 3, H, W) to features (B, trunk.out_channels, h, w); may have a method
            `fully_connected`, see `Vgg16Trunk`.
        num_classes: C + 1, foreground classes and background.
        hidden: channels of fc6 and fc7.
        dilation: of fc6, in cells.
        dropout: probability that a value after fc6 and fc7 is dropped in training.
        score_std: standard deviation of the last layer's initial weights, above 0.

    Raises:
        ConfigError: if the trunk has no `out_channels`, or `score_std` is not positive.
    """

    last_layers: ClassVar[tuple[str, ...]] = ("head.6",)

    def __init__(
        self,
        trunk: nn.Module,
        num_classes: int,
        hidden: int = 1024,
        dilation: int = 12,
        dropout: float = 0.5,
        score_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        width = trunk_channels(trunk)
        class_scores = nn.Conv2d(hidden, num_classes, kernel_size=1)
        self.head = nn.Sequential(
            nn.Conv2d(width, hidden, kernel_size=3, padding=dilation, dilation=dilation),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv2d(hidden, hidden, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            class_scores,
        )
        he_init(self.head)
        init_scores(class_scores, score_std)
        self.start = self._start_from_trunks_weights(width, hidden)

    def _start_from_trunks_weights(self, width: int, hidden: int) -> str:
        """Start fc6 and fc7 from the trunk's weights, if they fit; returns one line about it."""
        origin = type(self.trunk).__name__
        state: dict[str, Tensor] = getattr(self.trunk, "fully_connected", dict)()
        reason = why_unfit(state, width, hidden)
        if reason:
            return f"fc6 and fc7 start from random numbers: of {origin}'s weights {reason}"
        for layer, values in zip(
            (self.head[0], self.head[3]), decimate(state, hidden), strict=True
        ):
            layer.load_state_dict(values)
        return f"fc6 and fc7 start from {origin}'s weights, decimated to {hidden} channels"

    def forward(self, image: Tensor) -> Tensor:
        """Raw class scores of every cell.

        Args:
            image: normalised for the trunk, (B, 3, H, W).

        Returns:
            Logits, (B, C + 1, h, w); resize to (H, W) before the loss or the arg-max.
        """
        logits: Tensor = self.head(self.trunk(image))
        return logits
