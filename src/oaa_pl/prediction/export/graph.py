"""What is exported: a network with what comes before and after it, as one graph.

A photo comes in as 8-bit RGB at the network's size, so that only the resizing is left to the
caller: OpenCV's area interpolation has no counterpart in the formats.

Shapes: B photos of one size; h x w pixels of the network's input, h' x w' cells; H x W pixels of a
mask; C foreground classes.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.losses import image_scores

__all__ = ["AttentionGraph", "SegmenterGraph"]


class _Graph(nn.Module):
    """A network and the normalisation of its input.

    Args:
        net: images (B, 3, h, w) to maps (B, maps, h', w').
        mean: of the network's input, for pixel values in 0..1.
        std: of the network's input, for pixel values in 0..1.
    """

    def __init__(self, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def maps(self, image: Tensor) -> Tensor:
        """Maps (B, maps, h', w') of photos (B, h, w, 3) uint8."""
        levels = image.permute(0, 3, 1, 2).float()
        maps: Tensor = self.net((levels / 255 - self.mean) / self.std)
        return maps


class SegmenterGraph(_Graph):
    """A segmenter: photos at the network's size, and the size of the masks, to masks."""

    @override
    def forward(self, image: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Segment photos.

        Args:
            image: RGB, (B, h, w, 3) uint8.
            size: (H, W) of the masks, the photos' own, (2,) int64.

        Returns:
            `mask`, ids 0..C, (B, H, W) uint8; `confidence`, the probability of each pixel's id,
            (B, H, W) float32; `probabilities`, of each id, (B, C + 1, H, W) float32.
        """
        # Not int(...), which would fix the size at its value in the example.
        height: int = size[0].item()  # type: ignore[assignment]  # of an int64 tensor
        width: int = size[1].item()  # type: ignore[assignment]  # the same
        torch._check(height >= 1)
        torch._check(width >= 1)
        logits = F.interpolate(
            self.maps(image), (height, width), mode="bilinear", align_corners=False
        )
        probabilities = logits.softmax(dim=1)
        return logits.argmax(dim=1).to(torch.uint8), probabilities.amax(dim=1), probabilities


class AttentionGraph(_Graph):
    """A classifier or an integral model: photos at the network's size to scores and maps.

    Args:
        net: images (B, 3, h, w) to score maps (B, C, h', w').
        mean: of the network's input, for pixel values in 0..1.
        std: of the network's input, for pixel values in 0..1.
        to_attention: score map to attention.
    """

    def __init__(
        self,
        net: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        to_attention: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__(net, mean, std)
        self.to_attention = to_attention

    @override
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Classify photos.

        Args:
            image: RGB, (B, h, w, 3) uint8.

        Returns:
            `scores`, raw, GAP(F), (B, C); `probabilities`, sigmoid of the scores, Eq. (1), (B, C);
            `score_map`, raw, F, (B, C, h', w'); `attention` in [0, 1], Eq. (2), (B, C, h', w').
        """
        score_map = self.maps(image)
        scores = image_scores(score_map)
        return scores, scores.sigmoid(), score_map, self.to_attention(score_map)
