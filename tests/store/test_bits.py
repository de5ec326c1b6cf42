"""The quick check of attention never calls a wrong value right."""

import numpy as np
import pytest

from oaa_pl.errors import StoreError
from oaa_pl.store.bits import require_attention, surely_attention


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


@pytest.mark.parametrize("right", [0.0, -0.0, 1.0, 1e-45, 0.9999])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_numbers_from_0_to_1_are_accepted_in_any_type(right: float, kind: type) -> None:
    maps = np.full((2, 3, 4), right, kind)
    require_attention(maps, (2, 3, 4))
    require_attention(np.asfortranarray(maps)[:, ::-1], (2, 3, 4))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -1e-45, 1 + 2**-23, 1.0004])
def test_one_other_number_is_refused_wherever_it_is(wrong: float) -> None:
    # The last two would be 1 in float16: what is refused does not depend on how maps are kept.
    for cell in range(24):
        maps = np.full(24, 0.5, np.float32)
        maps[cell] = wrong
        for kept in (maps.reshape(2, 3, 4), np.asfortranarray(maps.reshape(2, 3, 4))):
            with pytest.raises(StoreError, match=r"attention must be in \[0, 1\], got"):
                require_attention(kept, (2, 3, 4))


def test_another_shape_is_refused_and_no_map_is_fine() -> None:
    require_attention(np.zeros((0, 3, 4), np.float32), (0, 3, 4))
    with pytest.raises(StoreError, match=r"must be \(2, 3, 4\) \(K, h, w\), got \(2, 4, 3\)"):
        require_attention(np.zeros((2, 4, 3), np.float32), (2, 3, 4))
