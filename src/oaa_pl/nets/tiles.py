"""Run a network on a large image in overlapping tiles, so that memory depends on the tile.

A cell is taken from the tile in which it is furthest from a border that the image does not have. A
network whose receptive field is smaller than half of the overlap gives the same cells as in one
piece. A network that looks at the whole image (attention, global pooling) sees the tile alone.

Shapes: B images of H x W pixels; C maps of one cell for each s x s pixels.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from oaa_pl.errors import ConfigError
from oaa_pl.nets.spans import Span, spans

__all__ = ["tiled"]


def tiled(
    net: Callable[[Tensor], Tensor], image: Tensor, tile: int | None, multiple: int
) -> Tensor:
    """A network's maps of an image that may be larger than a tile.

    Args:
        net: images (B, 3, h, w) to maps (B, C, h / s, w / s).
        image: (B, 3, H, W), H and W multiples of `multiple`.
        tile: longest side of a tile in pixels; None: the image in one piece.
        multiple: borders of tiles are at multiples of this, the network's stride s.

    Returns:
        Maps (B, C, H / s, W / s), on the CPU if there are several tiles.

    Raises:
        ConfigError: if the network's cells do not divide a tile evenly.
    """
    height, width = image.shape[2:]
    if tile is None:
        return net(image)
    down, across = (list(spans(side, tile, multiple)) for side in (height, width))
    if len(down) == len(across) == 1:
        return net(image)
    rows = [torch.cat(list(_row(net, image, span, across)), dim=3) for span in down]
    return torch.cat(rows, dim=2)


def _row(
    net: Callable[[Tensor], Tensor], image: Tensor, down: Span, across: list[Span]
) -> Iterator[Tensor]:
    for span in across:
        part = image[:, :, down.start : down.end, span.start : span.end]
        maps = net(part)
        kept = [
            _cells(one, part.shape[2 + axis], maps.shape[2 + axis])
            for axis, one in enumerate((down, span))
        ]
        yield maps[:, :, kept[0], kept[1]].cpu()


def _cells(span: Span, side: int, cells: int) -> slice:
    """The cells that a tile keeps along one axis."""
    stride = side // max(cells, 1)
    if cells * stride != side or span.first % stride or span.last % stride:
        raise ConfigError(
            f"the photo is larger than a tile, and this network makes {cells} cells of {side} "
            "pixels, so that its tiles cannot be joined; say tile=null to segment the photo in "
            "one piece, or give a smaller size"
        )
    return slice((span.first - span.start) // stride, (span.last - span.start) // stride)
