"""Segment photos: several scales, mirrored or not, in batches and in tiles.

`nets.seen` averages the views at a photo's resolution; `nets.tiles` bounds memory for large photos.

Source: Chen et al., "DeepLab", TPAMI 2017, section 4.1.1 (multi-scale and flipped test inputs).

Shapes: B photos of H x W pixels; h x w pixels of the network's input; C foreground classes.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oaa_pl.errors import ConfigError
from oaa_pl.nets.seen import Seen
from oaa_pl.nets.spans import TILE
from oaa_pl.nets.tiles import tiled

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
        tile: longest side in pixels of what the network gets at once. A larger input is cut into
            overlapping tiles; None: never.

    Raises:
        ConfigError: if there is no scale, or a scale, `size`, `multiple` or `tile` is not positive.
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
        tile: int | None = TILE,
    ) -> None:
        if not scales or not all(0 < scale < np.inf for scale in scales):
            raise ConfigError(f"scales must be one or more numbers above 0, got {list(scales)}")
        if size is not None and size < 1:
            raise ConfigError(f"size must be 1 pixel or more, or null, got {size}")
        if multiple < 1:
            raise ConfigError(f"multiple must be 1 or more, got {multiple}")
        if tile is not None and (type(tile) is not int or tile < 1):
            raise ConfigError(
                f"tile must be a whole number of pixels, 1 or more, or null for no tiles, got "
                f"{tile!r}"
            )
        self.net, self.tile = net, tile
        self.mean = torch.tensor(mean).view(1, 3, 1, 1)
        self.std = torch.tensor(std).view(1, 3, 1, 1)
        self.size, self.scales, self.multiple = size, tuple(scales), multiple
        self.flip, self.keep_shape = flip, keep_shape
        self.device = next(net.parameters()).device

    def __call__(self, photo: NDArray[np.uint8], size: tuple[int, int] | None = None) -> Tensor:
        """Class probabilities of each pixel. `label` needs far less memory.

        Args:
            photo: RGB, (H, W, 3) uint8.
            size: (H, W) of the result; None: the photo's.

        Returns:
            Probabilities, (C + 1, H, W), float32.
        """
        return self.see([photo])[0].probabilities(size)

    def label(self, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The most probable class of each pixel.

        Args:
            photo: RGB, (H, W, 3) uint8.

        Returns:
            Ids 0..C, (H, W).

        Raises:
            ConfigError: if there are more than 255 ids, as 255 means ignored.
        """
        return self.see([photo])[0].label()

    @torch.no_grad()
    def see(self, photos: Sequence[NDArray[np.uint8]]) -> list[Seen]:
        """The network's answers to photos of any sizes, as one batch for each size of its input.

        Photos are never padded to one size: padding would change the answer. A convolution of a
        batch may round otherwise than that of one photo, about a millionth of the logits.

        Args:
            photos: RGB, each (H, W, 3) uint8.

        Returns:
            What the network saw in each photo, in their order.
        """
        found: list[list[tuple[Tensor, bool]]] = [[] for _ in photos]
        for scale in self.scales:
            groups: dict[tuple[int, ...], list[tuple[int, NDArray[np.uint8]]]] = defaultdict(list)
            for place, photo in enumerate(photos):
                resized = self.resized(photo, scale)
                groups[resized.shape].append((place, resized))
            for group in groups.values():
                places, images = zip(*group, strict=True)
                for mirrored in (False, True) if self.flip else (False,):
                    for place, logits in zip(places, self._logits(images, mirrored), strict=True):
                        found[place].append((logits, mirrored))
        return [
            Seen(views, (photo.shape[0], photo.shape[1]))
            for views, photo in zip(found, photos, strict=True)
        ]

    def resized(self, photo: NDArray[np.uint8], scale: float = 1.0) -> NDArray[np.uint8]:
        """The photo as the network sees it at a scale: (h, w, 3) uint8."""
        height, width = photo.shape[:2]
        base = self._base(height, width)
        side = (self._side(base[1] * scale), self._side(base[0] * scale))  # (w, h)
        smaller = side[0] < width or side[1] < height
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR  # AREA: no aliasing
        return cv2.resize(photo, side, interpolation=how).astype(np.uint8, copy=False)

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

    def _logits(self, images: Sequence[NDArray[np.uint8]], mirrored: bool) -> Iterator[Tensor]:
        """Logits (C + 1, h', w') of each of some images of one size."""
        height, width = images[0].shape[:2]
        # No more pixels at once than a tile has, however many photos are in the batch.
        most = len(images) if self.tile is None else max(1, self.tile**2 // (height * width))
        for first in range(0, len(images), most):
            batch = torch.from_numpy(np.stack(images[first : first + most])).permute(0, 3, 1, 2)
            yield from tiled(
                self._run, batch.flip(3) if mirrored else batch, self.tile, self.multiple
            )

    def _run(self, levels: Tensor) -> Tensor:
        """Logits (B, C + 1, h', w') of images or tiles (B, 3, h, w) uint8."""
        image = (levels.float() / 255 - self.mean) / self.std
        # The weights' memory format decides. A channels-last image saves a copy in each layer.
        logits: Tensor = self.net(image.to(self.device, memory_format=torch.channels_last))
        return logits.float()
