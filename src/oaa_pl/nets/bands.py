"""Resize small class maps to a large photo, one band of rows at a time.

The maps of all classes at full size would need 4 GB for 21 classes and 48 megapixels, 50 GB for 260
classes. Only the strongest class of each pixel is needed.

Shapes: C maps of h x w cells; a photo of H x W pixels.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from oaa_pl.errors import ConfigError
from oaa_pl.ids import IGNORED

__all__ = ["bands", "empty_label", "stretched_label", "stretched_rows"]

# Values of a band, all classes together: 32 MB. A VOC photo (500 x 375, 21 classes) is one band.
_VALUES = 2**23


def bands(channels: int, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Rows (first, last + 1) of the bands that cover a photo from top to bottom.

    Args:
        channels: C, 1 or more.
        size: pixels (H, W) of the photo.
    """
    height, width = size
    rows = max(1, _VALUES // (channels * width))
    for first in range(0, height, rows):
        yield first, min(height, first + rows)


def stretched_rows(maps: Tensor, size: tuple[int, int], first: int, last: int) -> Tensor:
    """Bilinear interpolation of maps to some rows of a photo, like rows of `F.interpolate`.

    Edges are aligned, corners are not. If the band is the whole photo, PyTorch computes it. Rows of
    a smaller band differ from PyTorch's by float32 rounding, about a millionth of the values.

    Args:
        maps: (C, h, w) float32.
        size: pixels (H, W) of the photo.
        first: first row.
        last: last row + 1.

    Returns:
        (C, last - first, W).
    """
    height, width = size
    if (first, last) == (0, height):
        return F.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]
    cells = maps.shape[1]
    # PyTorch's own precision: the scale is float32; product and sum are rounded to float32 again.
    scale = torch.tensor(cells / height, dtype=torch.float32).double()
    place = (scale * (torch.arange(first, last).double() + 0.5) - 0.5).float().clamp(min=0)
    above = place.long().clamp(max=cells - 1)
    below = (above + 1).clamp(max=cells - 1)
    top, end = int(above[0]), int(below[-1]) + 1
    wide = F.interpolate(
        maps[None, :, top:end], (end - top, width), mode="bilinear", align_corners=False
    )[0]
    share = (place - above).to(maps.device).view(1, -1, 1)
    upper, lower = ((rows - top).to(maps.device) for rows in (above, below))
    return wide[:, upper] * (1 - share) + wide[:, lower] * share


def stretched_label(maps: Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The strongest of the maps at each pixel of a photo.

    Args:
        maps: (C, h, w) float32.
        size: pixels (H, W) of the photo.

    Returns:
        Index of the map, 0..C-1, (H, W).

    Raises:
        ConfigError: if there are more than 255 maps, as 255 means ignored.
    """
    label = empty_label(len(maps), size)
    for first, last in bands(len(maps), size):
        label[first:last] = stretched_rows(maps, size, first, last).argmax(dim=0).cpu().numpy()
    return label


def empty_label(channels: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A label map for ids 0..channels - 1, not yet filled, (H, W).

    Raises:
        ConfigError: if there are more than 255 ids, as 255 means ignored.
    """
    if channels > IGNORED:
        raise ConfigError(
            f"a label map holds {IGNORED - 1} classes and the background, but this network has "
            f"{channels - 1} classes; train with fewer"
        )
    return np.empty(size, np.uint8)
