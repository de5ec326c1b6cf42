"""Segment one photo: several scales, mirrored or not, averaged at the photo's resolution.

Logits stay at the network's resolution and are resized to the photo one band of rows at a time
(`nets.bands`), so that memory does not grow with pixels times classes.

Source: Chen et al., "DeepLab", TPAMI 2017, section 4.1.1 (multi-scale and flipped test inputs).

Shapes: H x W pixels of the photo; C foreground classes.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oaa_pl.errors import ConfigError
from oaa_pl.nets.bands import bands, empty_label, stretched_label, stretched_rows

__all__ = ["SegmentPhoto"]


class SegmentPhoto:
    """A trained segmenter as a function of a photo.

    Args:
        net: images (B, 3, h, w) to logits (B, C + 1, ...), in evaluation mode.
        mean: of the network's input, for pixel values in 0..1.
        std: of the network's input, for pixel values in 0..1.
        size: side in pixels of the square that the photo is resized to; None: its own size.
        keep_shape: `size` is the photo's long side, and the photo keeps its aspect ratio.
        scales: input scales to average over, each above 0.
        multiple: input sides are rounded to a multiple of this, the network's stride. A trunk whose
            pools round down does not see the remaining rows, and its cells, resized to the whole
            photo, would be shifted.
        flip: whether to average with the mirrored photo.

    Raises:
        ConfigError: if there is no scale, or a scale, `size` or `multiple` is not positive.
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
        keep_shape: bool = False,
    ) -> None:
        if not scales or not all(0 < scale < np.inf for scale in scales):
            raise ConfigError(f"scales must be one or more numbers above 0, got {list(scales)}")
        if size is not None and size < 1:
            raise ConfigError(f"size must be 1 pixel or more, or null, got {size}")
        if multiple < 1:
            raise ConfigError(f"multiple must be 1 or more, got {multiple}")
        self.net = net
        self.mean = torch.tensor(mean).view(1, 3, 1, 1)
        self.std = torch.tensor(std).view(1, 3, 1, 1)
        self.size, self.scales, self.multiple = size, tuple(scales), multiple
        self.flip, self.keep_shape = flip, keep_shape
        self.device = next(net.parameters()).device

    @torch.no_grad()
    def __call__(self, photo: NDArray[np.uint8], size: tuple[int, int] | None = None) -> Tensor:
        """Class probabilities of each pixel. `label` needs far less memory.

        Args:
            photo: RGB, (H, W, 3) uint8.
            size: (H, W) of the result; None: the photo's.

        Returns:
            Probabilities, (C + 1, H, W), float32.
        """
        views, size = self._views(photo), size or (photo.shape[0], photo.shape[1])
        rows = bands(views[0][0].shape[0], size)
        return torch.cat([_mean(views, size, *band).cpu() for band in rows], dim=1)

    @torch.no_grad()
    def label(self, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The most probable class of each pixel.

        Args:
            photo: RGB, (H, W, 3) uint8.

        Returns:
            Ids 0..C, (H, W).

        Raises:
            ConfigError: if there are more than 255 ids, as 255 means ignored.
        """
        views, size = self._views(photo), (photo.shape[0], photo.shape[1])
        channels = views[0][0].shape[0]
        if len(views) == 1:  # a softmax does not change which class is the highest
            return stretched_label(views[0][0], size)
        label = empty_label(channels, size)
        for first, last in bands(channels, size):
            label[first:last] = _mean(views, size, first, last).argmax(dim=0).cpu().numpy()
        return label

    def _views(self, photo: NDArray[np.uint8]) -> list[tuple[Tensor, bool]]:
        """Logits (C + 1, h, w) of each view of the photo, and whether the view was mirrored."""
        height, width = photo.shape[:2]
        views = []
        for scale in self.scales:
            base = self._base(height, width)
            side = (self._side(base[1] * scale), self._side(base[0] * scale))  # (w, h)
            smaller = side[0] < width or side[1] < height
            how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR  # AREA: no aliasing
            image = torch.from_numpy(cv2.resize(photo, side, interpolation=how))
            image = (image.permute(2, 0, 1)[None].float() / 255 - self.mean) / self.std
            views.append((self._logits(image), False))
            if self.flip:
                views.append((self._logits(image.flip(3)), True))
        return views

    def _base(self, height: int, width: int) -> tuple[float, float]:
        """Height and width of the resized photo at scale 1, before rounding."""
        if self.size is None:
            return height, width
        if not self.keep_shape:
            return self.size, self.size
        long_side = max(height, width)
        return height * self.size / long_side, width * self.size / long_side

    def _side(self, wanted: float) -> int:
        return self.multiple * max(1, round(wanted / self.multiple))

    def _logits(self, image: Tensor) -> Tensor:
        # The weights' memory format decides. A channels-last image saves a copy in each layer.
        image = image.to(self.device, memory_format=torch.channels_last)
        logits: Tensor = self.net(image)
        return logits.float()[0]


def _mean(views: Sequence[tuple[Tensor, bool]], size: tuple[int, int], *band: int) -> Tensor:
    """Probabilities of a band of rows, averaged over the views: (C + 1, rows, W)."""
    found = []
    for logits, mirrored in views:
        probabilities = stretched_rows(logits, size, *band).softmax(dim=0)
        found.append(probabilities.flip(2) if mirrored else probabilities)
    return torch.stack(found).mean(dim=0)
