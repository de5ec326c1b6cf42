import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oaa_pl.attention.view import apply_view, identity_view, invert_view, undo_view

QUICK = settings(max_examples=25, deadline=None, derandomize=True)
FLIP = torch.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])


def crop(left: float, top: float, right: float, bottom: float) -> Tensor:
    """The view of a crop whose sides are given in whole-image coordinates, (1, 2, 3)."""
    sx, sy = 2 / (right - left), 2 / (bottom - top)
    return torch.tensor([[[sx, 0, -sx * (left + right) / 2], [0, sy, -sy * (top + bottom) / 2]]])


def turn(degrees: float, zoom: float = 1.0) -> Tensor:
    c, s = zoom * math.cos(math.radians(degrees)), zoom * math.sin(math.radians(degrees))
    return torch.tensor([[[c, -s, 0.0], [s, c, 0.0]]])


@st.composite
def views(draw: st.DrawFn) -> Tensor:
    """A zoom with a turn, a flip and a shift: never degenerate."""
    view = turn(draw(st.floats(-180, 180)), draw(st.floats(0.5, 3)))
    view[0, :, 2] = torch.tensor([draw(st.floats(-1, 1)), draw(st.floats(-1, 1))])
    if draw(st.booleans()):
        view[0, :, 0] *= -1
    return view


def centres(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Coordinates x and y of each cell's centre, (h, w) each."""
    height, width = size
    y = (torch.arange(height) + 0.5) * 2 / height - 1
    x = (torch.arange(width) + 0.5) * 2 / width - 1
    return x.expand(height, width), y[:, None].expand(height, width)


def ramps_seen(view: Tensor, size: tuple[int, int]) -> Tensor:
    """What a view shows of two whole-photo ramps, x and y in [0, 1]: (2, H, W)."""
    x, y = centres(size)
    inverse = invert_view(view)[0]
    seen = [row[0] * x + row[1] * y + row[2] for row in inverse]
    return (torch.stack(seen) + 1) / 2


def test_the_identity_view_is_a_plain_resize() -> None:
    maps = torch.rand(3, 4, 5)
    whole, inside = undo_view(maps, identity_view(3), (4, 5))
    assert torch.allclose(whole, maps, atol=1e-6)
    assert inside.all()


def test_undoing_a_flip_flips_the_map_back() -> None:
    maps = torch.rand(1, 3, 4)
    whole, inside = undo_view(maps, FLIP, (3, 4))
    assert torch.allclose(whole, maps.flip(2), atol=1e-6)
    assert inside.all()


def test_a_quarter_turn_is_undone_cell_by_cell() -> None:
    maps = torch.rand(1, 4, 4)
    # (x, y) -> (-y, x): the photo's right side is the view's lower side.
    whole, inside = undo_view(maps, turn(90), (4, 4))
    for row in range(4):
        for column in range(4):
            assert whole[0, row, column] == pytest.approx(float(maps[0, column, 3 - row]), abs=1e-5)
    assert inside.all()


def test_undoing_a_crop_puts_it_where_it_was_cut() -> None:
    maps = torch.rand(1, 2, 2)
    whole, inside = undo_view(maps, crop(0, -1, 1, 0), (4, 4))
    expected = torch.zeros(4, 4)
    expected[:2, 2:] = maps[0]
    assert torch.allclose(whole[0], expected, atol=1e-6)
    assert torch.equal(inside[0], expected > 0)


@QUICK
@given(views())
def test_a_map_that_says_where_it_looks_is_undone_to_the_ramps(view: Tensor) -> None:
    # The network's map is the ramps as the view shows them, so undoing it must give the ramps.
    maps = ramps_seen(view, (40, 40))
    whole, inside = undo_view(maps, view.expand(2, 2, 3), (12, 10))
    x, y = centres((12, 10))
    a, b = view[0, :, :2] @ torch.stack([x.flatten(), y.flatten()]) + view[0, :, 2:]
    # In the outermost half cell the border repeats itself: by at most half a cell of the view.
    deep = ((a.abs() < 1 - 1 / 40) & (b.abs() < 1 - 1 / 40)).view(12, 10)
    expected = (torch.stack([x, y]) + 1) / 2
    assert torch.allclose(whole[:, deep], expected[:, deep], atol=1e-4)
    outside = ((a.abs() > 1.01) | (b.abs() > 1.01)).view(12, 10)
    assert not inside[:, outside].any()
    assert not whole[:, outside].any()
    assert inside[:, deep].all()


@QUICK
@given(views())
def test_applying_a_view_shows_the_ramps_through_it(view: Tensor) -> None:
    x, y = centres((40, 40))
    ramps = (torch.stack([x, y]) + 1)[None] / 2
    seen = apply_view(ramps, view, (9, 11))[0]
    expected = ramps_seen(view, (9, 11))
    deep = ((expected - 0.5).abs() < 0.5 - 0.5 / 40).all(dim=0)
    outside = ((expected - 0.5).abs() > 0.51).any(dim=0)
    assert torch.allclose(seen[:, deep], expected[:, deep], atol=1e-4)
    assert not seen[:, outside].any()


@QUICK
@given(views())
def test_a_view_undone_and_applied_returns_a_smooth_map(view: Tensor) -> None:
    x, y = centres((64, 64))
    whole = (0.5 + 0.3 * (2 * x).sin() * (2 * y).cos())[None]
    seen = apply_view(whole[None], view, (64, 64))[0]
    back, inside = undo_view(seen, view, (64, 64))
    # What the view showed only in part was mixed with the nothing beside it.
    full, _ = undo_view(apply_view(torch.ones(1, 1, 64, 64), view, (64, 64))[0], view, (64, 64))
    sound = inside & (full > 0.999)
    assert torch.allclose(back[sound], whole[sound], atol=0.03)


@QUICK
@given(views())
def test_inverting_twice_returns_the_view(view: Tensor) -> None:
    assert torch.allclose(invert_view(invert_view(view)), view, atol=1e-4)


@QUICK
@given(views())
def test_an_inverted_view_leads_back_to_every_point(view: Tensor) -> None:
    points = torch.rand(1, 2, 7) * 2 - 1
    there = view[:, :, :2] @ points + view[:, :, 2:]
    inverse = invert_view(view)
    back = inverse[:, :, :2] @ there + inverse[:, :, 2:]
    assert torch.allclose(back, points, atol=1e-4)


def test_maps_of_different_views_are_undone_in_one_call() -> None:
    maps = torch.rand(3, 6, 6)
    view = torch.cat([identity_view(1), FLIP, crop(-0.5, -0.5, 0.5, 0.5)])
    together, inside = undo_view(maps, view, (6, 6))
    for k in range(3):
        alone, shown = undo_view(maps[k : k + 1], view[k : k + 1], (6, 6))
        assert torch.equal(together[k], alone[0])
        assert torch.equal(inside[k], shown[0])


@pytest.mark.parametrize("size", [1, 7, 40, 41, 224, 321])
def test_a_whole_image_view_shows_every_cell_however_fine_the_grid(size: int) -> None:
    for view in (identity_view(1), FLIP, turn(180)):
        whole, inside = undo_view(torch.ones(1, 5, 5), view, (size, size))
        assert inside.all()
        assert torch.allclose(whole, torch.ones(()))


def test_undone_maps_stay_in_the_range_of_the_map() -> None:
    maps = torch.rand(1, 5, 5)
    whole, _ = undo_view(maps, turn(33, 1.3), (50, 50))
    assert whole.min() >= 0
    assert whole.max() <= maps.max() + 1e-6


def test_a_view_that_squeezes_the_image_to_a_line_is_refused() -> None:
    flat = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    with pytest.raises(RuntimeError, match="singular"):
        invert_view(flat)
