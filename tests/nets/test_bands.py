from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from oaa_pl.errors import ConfigError
from oaa_pl.nets.bands import bands, empty_label, stretched_label, stretched_rows

QUICK = settings(max_examples=40, deadline=None, derandomize=True)


@QUICK
@given(
    st.integers(1, 70), st.integers(1, 60), st.integers(1, 200), st.integers(1, 90),
    st.integers(1, 40), st.integers(0, 999),
)  # fmt: skip
def test_rows_are_those_of_the_whole_photo(
    h: int, w: int, height: int, width: int, step: int, seed: int
) -> None:
    maps = 5 * torch.randn(3, h, w, generator=torch.Generator().manual_seed(seed))
    whole = F.interpolate(maps[None], (height, width), mode="bilinear", align_corners=False)[0]
    ends = [min(height, first + step) for first in range(0, height, step)]
    parts = [
        stretched_rows(maps, (height, width), first, end)
        for first, end in zip(range(0, height, step), ends, strict=True)
    ]
    # A place among 70 cells is rounded to 4e-6 of a cell, here and in PyTorch as each processor
    # does it, and the values of neighbours are up to 40 apart.
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=2 * 4e-6 * 40)


def test_one_band_is_pytorchs_own_to_the_bit() -> None:
    maps = torch.randn(21, 41, 63)
    whole = F.interpolate(maps[None], (375, 500), mode="bilinear", align_corners=False)[0]
    assert list(bands(21, (375, 500))) == [(0, 375)]  # a VOC photo
    assert torch.equal(stretched_rows(maps, (375, 500), 0, 375), whole)


@QUICK
@given(st.integers(1, 300), st.integers(1, 9000), st.integers(1, 9000))
def test_bands_cover_every_row_once_and_are_small(channels: int, height: int, width: int) -> None:
    found = list(bands(channels, (height, width)))
    assert found[0][0] == 0
    assert found[-1][1] == height
    assert all(one[1] == two[0] for one, two in pairwise(found))
    rows = max(last - first for first, last in found)
    assert rows == 1 or rows * width * channels <= 2**23


def test_the_strongest_map_wins_in_every_band(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = torch.randn(5, 9, 7, generator=torch.Generator().manual_seed(3))
    whole = F.interpolate(maps[None], (100, 80), mode="bilinear", align_corners=False)[0]
    monkeypatch.setattr("oaa_pl.nets.bands._VALUES", 5 * 80 * 7)
    assert len(list(bands(5, (100, 80)))) > 10
    np.testing.assert_array_equal(stretched_label(maps, (100, 80)), whole.argmax(0).numpy())


def test_more_ids_than_a_byte_holds_are_refused_and_do_not_wrap_round() -> None:
    assert empty_label(255, (2, 3)).dtype == np.uint8  # 254 classes and the background
    with pytest.raises(ConfigError, match=r"holds 254 classes and the background, but .* has 255"):
        empty_label(256, (2, 3))
