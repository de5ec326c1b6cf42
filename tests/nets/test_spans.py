"""Tiles along an axis: what they keep covers the axis once, at multiples, inside the tiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaa_pl.nets.spans import Span, spans


@given(
    cells=st.integers(1, 400), tile=st.integers(1, 900), multiple=st.sampled_from([1, 2, 8, 14, 32])
)
def test_tiles_cover_an_axis_once_and_are_no_longer_than_asked(
    cells: int, tile: int, multiple: int
) -> None:
    found = spans(cells * multiple, tile, multiple)
    assert found[0].first == 0
    assert found[-1].last == cells * multiple
    assert [one.last for one in found[:-1]] == [one.first for one in found[1:]]
    for one in found:
        assert one.start <= one.first < one.last <= one.end <= cells * multiple
        assert one.end - one.start <= max(tile, multiple)
        assert not any(border % multiple for border in one)


@pytest.mark.parametrize("side", [8, 15, 16])
def test_an_axis_that_fits_is_one_tile(side: int) -> None:
    assert spans(side, 16, 1) == [Span(0, side, 0, side)]


def test_a_kept_part_is_an_eighth_of_a_tile_away_from_each_border_inside_the_image() -> None:
    for one in spans(4096, 512, 8):
        assert one.start in (0, one.first - 64, one.first - 96) or one.first - one.start >= 64
        assert one.end == 4096 or one.end - one.last >= 64
