"""Segment one photo: several scales, mirrored or not, averaged at the photo's resolution.

Source: Chen et al., "DeepLab", TPAMI 2017, section 4.1.1 (multi-scale and flipped test inputs).

Shapes: H x W pixels of the photo; C foreground classes.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from oaa_pl.errors import ConfigError

__all__ = ["SegmentPhoto"]


class SegmentPhoto:
    """A trained segmenter as a function of a photo.

    Args:
        net: images (B, 3, h, w) to logits (B, C + 1, ...), in evaluation mode.
        mean: of the network's input, for pixel values in 0..1.
        std: likewise.
        size: side of the square that the photo is brought to; None: the photo's own size.
        scales: input scales to average over, each above 0.
        multiple: input sides are rounded to a multiple of this, the network's stride: a trunk whose
            pools round down sees nothing of the rows that are left over, and its cells, stretched
            over the whole photo, would come to lie beside what they saw.
        flip: whether to average with the mirrored photo.

    Raises:
        ConfigError: if there is no scale, or a scale or `multiple` is not positive.
    """

    def __init__(
        self,
        net: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        size: int | None = None,
        scales: Sequence[float] = (1.0,),
        multiple: int = 1,
        flip: bool = False,
    ) -> None:
        if not scales or min(scales) <= 0:
            raise ConfigError(f"scales must be one or more numbers above 0, got {list(scales)}")
        if multiple < 1:
            raise ConfigError(f"multiple must be 1 or more, got {multiple}")
        self.net = net
        self.mean = torch.tensor(mean).view(1, 3, 1, 1)
        self.std = torch.tensor(std).view(1, 3, 1, 1)
        self.size, self.scales, self.multiple = size, tuple(scales), multiple
        self.flip = flip
        self.device = next(net.parameters()).device

    @torch.no_grad()
    def __call__(self, photo: NDArray[np.uint8]) -> Tensor:
        """Class probabilities of each pixel.

        Args:
            photo: RGB, (H, W, 3) uint8.

        Returns:
            Probabilities, (C + 1, H, W), float32.
        """
        height, width = photo.shape[:2]
        views = []
        for scale in self.scales:
            base = (self.size, self.size) if self.size else (height, width)
            side = (self._side(base[1] * scale), self._side(base[0] * scale))  # (w, h)
            smaller = side[0] < width or side[1] < height
            how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR  # no aliasing where it shrinks
            image = torch.from_numpy(cv2.resize(photo, side, interpolation=how))
            image = (image.permute(2, 0, 1)[None].float() / 255 - self.mean) / self.std
            views.append(self._probabilities(image, (height, width)))
            if self.flip:
                views.append(self._probabilities(image.flip(3), (height, width)).flip(2))
        return torch.stack(views).mean(dim=0)

    def _side(self, wanted: float) -> int:
        return self.multiple * max(1, round(wanted / self.multiple))

    def _probabilities(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        # The weights' memory format decides; a channels-last image spares a copy in each layer.
        image = image.to(self.device, memory_format=torch.channels_last)
        logits = self.net(image).float()
        whole = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        return whole[0].softmax(dim=0).cpu()
