"""Run-length encoding of masks, as COCO and pycocotools have it.

Written here because pycocotools is an extra, and a mask is encoded in a few lines.

Source: Lin et al., "Microsoft COCO", ECCV 2014; the text form is `rleToString` of pycocotools.

Shapes: a mask is (H, W) bool.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

__all__ = ["RunLengths", "encode", "run_lengths"]


class RunLengths(TypedDict):
    """One mask of COCO's.

    Attributes:
        size: [H, W].
        counts: lengths of runs in COCO's text form.
    """

    size: list[int]
    counts: str


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of the runs of a mask, column by column; the first run is of pixels outside.

    Args:
        mask: (H, W).

    Examples:
        >>> run_lengths(np.array([[False, True], [True, True]]))
        [1, 3]
        >>> run_lengths(np.array([[True, False]]))
        [0, 1, 1]
    """
    pixels = mask.ravel(order="F")
    borders = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    starts = np.concatenate([[0], borders, [pixels.size]])
    runs: list[int] = np.diff(starts).tolist()
    return [0, *runs] if pixels.size and pixels[0] else runs


def encode(mask: NDArray[np.bool_]) -> RunLengths:
    """A mask in COCO's compressed form, which `pycocotools.mask.decode` reads.

    Args:
        mask: (H, W).

    Examples:
        >>> encode(np.array([[False, True], [True, True]]))
        {'size': [2, 2], 'counts': '13'}
    """
    return {"size": [mask.shape[0], mask.shape[1]], "counts": _text(run_lengths(mask))}


def _text(runs: Sequence[int]) -> str:
    """Each run as its difference to the run two before, in signed groups of five bits."""
    text = []
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        more = True
        while more:
            group, value = value & 31, value >> 5
            more = value != (-1 if group & 16 else 0)
            text.append(chr(48 + group + 32 * more))
    return "".join(text)
