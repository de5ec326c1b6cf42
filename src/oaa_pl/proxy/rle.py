"""Masks of COCO's run lengths, as segment-anything models write them: read without an extra.

Source: Lin et al., "Microsoft COCO", ECCV 2014; its mask format. Pixels are counted down the
columns; runs of 0 and of 1 take turns, 0 first.

Shapes: H x W pixels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import BadMaskError

__all__ = ["mask_of", "runs_of"]


def runs_of(text: str) -> list[int]:
    """The run lengths of COCO's compressed text.

    Each number has five bits a letter, the lowest first; from the fourth on it is the difference
    to the number two before it.

    Args:
        text: letters of ASCII 48..111.

    Examples:
        >>> runs_of("05i1")
        [0, 5, 57]
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text.encode("latin-1", "replace"):
        bits = letter - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue  # more of this number follows
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return runs


def mask_of(rle: Mapping[str, Any]) -> NDArray[np.bool_]:
    """The mask of one object.

    Args:
        rle: `size`, (H, W), and `counts`: the compressed text, or a list of run lengths.

    Returns:
        True inside of the object, (H, W).

    Raises:
        BadMaskError: if it is not such a mapping, or its runs do not fill the picture.
    """
    try:
        height, width = map(int, rle["size"])
        counts = rle["counts"]
        runs = np.asarray(runs_of(counts) if isinstance(counts, str) else counts, np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadMaskError(
            "a mask must have COCO's run lengths, {'size': [H, W], 'counts': ...}; this one "
            f"cannot be read ({type(error).__name__}: {error})"
        ) from error
    if runs.ndim != 1 or runs.min(initial=0) < 0 or runs.sum() != height * width:
        raise BadMaskError(
            f"a mask's run lengths must add up to its {height} x {width} pixels, got "
            f"{int(runs.sum())}; its file may be cut short"
        )
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return inside.reshape(width, height).T
