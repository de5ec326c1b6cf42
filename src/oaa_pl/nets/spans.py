"""Overlapping tiles along one axis of a large image. Kept free of torch, for a fast import."""

from itertools import pairwise
from typing import NamedTuple

__all__ = ["TILE", "Span", "spans"]

TILE = 2048
"""Default side of a tile, in pixels: VGG-16 needs about 3 GB for it."""

_OVERLAP = 4  # two neighbours share a quarter of a tile


class Span(NamedTuple):
    """A tile along one axis, in pixels.

    Attributes:
        start: of the tile.
        end: of the tile, exclusive.
        first: start of the part that is kept.
        last: end of the part that is kept, exclusive.
    """

    start: int
    end: int
    first: int
    last: int


def spans(side: int, tile: int, multiple: int) -> list[Span]:
    """The tiles along one axis; what they keep covers the axis once.

    Args:
        side: pixels of the axis, a multiple of `multiple`.
        tile: longest side of a tile in pixels; rounded down to the multiple, at least one of it.
        multiple: every border is at a multiple of this.

    Examples:
        >>> spans(20, 8, 2)
        [Span(start=0, end=8, first=0, last=6), Span(start=6, end=14, first=6, last=12),
         Span(start=12, end=20, first=12, last=20)]
    """
    tile = max(multiple, tile // multiple * multiple)
    if side <= tile:
        return [Span(0, side, 0, side)]
    step = tile - tile // _OVERLAP // multiple * multiple
    starts = [*range(0, side - tile, step), side - tile]
    # The middle of each overlap, at a multiple.
    cuts = [
        (start + before + tile) // (2 * multiple) * multiple for before, start in pairwise(starts)
    ]
    kept = zip([0, *cuts], [*cuts, side], strict=True)
    return [Span(start, start + tile, *part) for start, part in zip(starts, kept, strict=True)]
