"""Run lengths of masks, as COCO has them: written and read without an extra.

Pixels are counted down the columns; runs of pixels outside and inside take turns, outside first. In
the compressed text each number has five bits a letter, the lowest first; from the fourth number on
it is the difference to the number two before it.

Source: Lin et al., "Microsoft COCO", ECCV 2014; the text form is `rleToString` of pycocotools. That
package decodes and draws masks for `data=coco`; it is an extra, which these few lines do without.

Shapes: a mask is (H, W) bool.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import BadMaskError

__all__ = ["RunLengths", "encode", "mask_of", "run_lengths", "runs_of"]


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
    text = []
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        more = True
        while more:
            group, value = value & 31, value >> 5
            more = value != (-1 if group & 16 else 0)
            text.append(chr(48 + group + 32 * more))
    return "".join(text)


def runs_of(text: str) -> list[int]:
    """The run lengths of COCO's compressed text; a damaged text may give negative ones.

    Args:
        text: letters of ASCII 48..111.

    Raises:
        ValueError: if it has another letter, or ends inside of a number.

    Examples:
        >>> runs_of("05i1")
        [0, 5, 57]
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"{letter!r} is not a letter of run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue  # more of this number follows
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("the text ends inside of a number")
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
