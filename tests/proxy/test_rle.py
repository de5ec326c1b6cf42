"""COCO's run lengths, against masks that COCO's own library wrote."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oaa_pl.errors import BadMaskError
from oaa_pl.proxy.rle import mask_of, runs_of

# Written by pycocotools 2.0 from `drawn`.
TEXT = (
    "01R49iL000000000]4KeK6K4M2N2N2O0O2N2O000O2O00000O2O00000001N1000001N10001N2N101N2NJ@I?OA"
    "10K050L;4E00K050O4NL3000K05000000000K05000000000K05000000000K05000000000K05000000000K"
)


def drawn() -> NDArray[np.bool_]:
    row, column = np.mgrid[:37, :53]
    mask = (row - 15) ** 2 / 200 + (column - 30) ** 2 / 300 < 1
    mask[20:30, 3:9] = mask[0, 0] = mask[::7, 45:] = True
    return mask


def runs_by_loops(mask: NDArray[np.bool_]) -> list[int]:
    runs, value = [0], False
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if mask[row, column] != value:
                runs.append(0)
                value = not value
            runs[-1] += 1
    return runs


def test_compressed_text_of_cocos_own_library_is_read() -> None:
    assert runs_of(TEXT) == runs_by_loops(drawn())
    assert np.array_equal(mask_of({"size": [37, 53], "counts": TEXT}), drawn())


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_are_counted_down_the_columns(seed: int) -> None:
    mask = np.random.default_rng(seed).random((5, 7)) < 0.5
    assert np.array_equal(mask_of({"size": [5, 7], "counts": runs_by_loops(mask)}), mask)


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [37, 53], "counts": TEXT[:-9]}, r"add up to its 37 x 53 pixels.*cut short"),
        ({"size": [53, 36], "counts": TEXT}, r"add up to its 53 x 36"),
        ({"size": [2, 2], "counts": [5, -1]}, "add up to its 2 x 2"),
        ({"size": [2, 2], "counts": [[4]]}, "add up to its 2 x 2"),
        ({"size": [2, 2]}, "cannot be read.*counts"),
        ({"size": 4, "counts": [4]}, "COCO's run lengths.*TypeError"),
        ([[0, 0, 4, 4]], "COCO's run lengths"),  # polygons
        (None, "COCO's run lengths"),
    ],
    ids=str,
)
def test_what_is_not_a_whole_mask_is_refused(rle: Any, message: str) -> None:
    with pytest.raises(BadMaskError, match=message):
        mask_of(rle)
