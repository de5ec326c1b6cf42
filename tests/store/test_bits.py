"""The quick check of attention never calls a wrong value right."""

import numpy as np
import pytest

from oaa_pl.store.bits import surely_attention


@pytest.mark.parametrize("right", [0.0, 1.0, 0.5, np.finfo(np.float32).tiny, 1e-45])
def test_numbers_from_0_to_1_are_attention(right: float) -> None:
    assert surely_attention(np.full((2, 3, 4), right, np.float32))


@pytest.mark.parametrize(
    "wrong",
    [np.nan, -np.nan, np.inf, -np.inf, -1.0, -1e-45, float(np.nextafter(np.float32(1), 2)), -0.0],
)
def test_other_numbers_are_not(wrong: float) -> None:
    maps = np.full((2, 3, 4), 0.5, np.float32)
    maps[1, 2, 3] = wrong
    assert not surely_attention(maps)


def test_it_cannot_tell_of_other_types() -> None:
    assert not surely_attention(np.zeros((2, 3, 4)))
