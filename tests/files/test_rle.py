"""Run lengths of masks against plain loops, and against pycocotools."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from oaa_pl.errors import BadMaskError
from oaa_pl.files.rle import encode, mask_of, run_lengths, runs_of

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))


def runs_by_loops(mask: np.ndarray) -> list[int]:
    """Column by column, pixel by pixel."""
    runs, inside = [0], False
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if bool(mask[row, column]) != inside:
                runs.append(0)
                inside = not inside
            runs[-1] += 1
    return runs


@given(masks)
def test_runs_are_those_of_plain_loops(mask: np.ndarray) -> None:
    assert run_lengths(mask) == runs_by_loops(mask)


# pycocotools 2.0.11 has not followed numpy 2's `copy` keyword; harmless.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@given(masks | st.integers(0, 99).map(
    lambda seed: np.random.default_rng(seed).random((90, 400)) < np.linspace(0, 1, 400) ** 9
))  # fmt: skip
def test_pycocotools_decodes_our_text_and_writes_the_same(mask: np.ndarray) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="needs the extra 'coco'")
    ours = encode(mask)
    np.testing.assert_array_equal(coco.decode(ours).astype(bool), mask)
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert ours == {"size": theirs["size"], "counts": theirs["counts"].decode()}


def test_long_runs_and_shrinking_runs_take_several_groups() -> None:
    mask = np.zeros((100, 100), bool)
    mask[:, 20] = True
    mask[10:15, 60] = True
    # 2000 outside, 100 inside, 3910 outside, 5 inside, 3985 outside; from the fourth run on, the
    # difference to the run two before.
    assert run_lengths(mask) == [2000, 100, 3910, 5, 3985]
    assert encode(mask) == {"size": [100, 100], "counts": "`n1T3Vj3QM[2"}


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


@given(masks)
def test_a_mask_comes_back_from_its_text(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(mask_of(encode(mask)), mask)


@pytest.mark.parametrize("text", ["1 ", "1\x7f", "1é", "1P"], ids=ascii)
def test_a_text_with_a_foreign_letter_or_half_a_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a letter of run lengths|inside of a number"):
        runs_of(text)
    with pytest.raises(BadMaskError, match="cannot be read"):
        mask_of({"size": [1, 1], "counts": text})
