"""Run lengths of masks against plain loops, and against pycocotools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from oaa_pl.prediction.rle import encode, run_lengths

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))


def loops(mask: np.ndarray) -> list[int]:
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
    assert run_lengths(mask) == loops(mask)


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
