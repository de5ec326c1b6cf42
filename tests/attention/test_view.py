import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oaa_pl.attention.view import apply_view, identity_view, invert_view, undo_view

QUICK = settings(max_examples=25, deadline=None, derandomize=True)
FLIP = torch.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
MIRRORS = {  # views that move every cell onto a cell, and the axes that they reverse
    "the whole image": (identity_view(1), ()),
    "the flip": (FLIP, (3,)),
    "the flip upside down": (torch.tensor([[[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]]), (2,)),
    "the half turn": (torch.tensor([[[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]]), (2, 3)),
}


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


def ring(size: tuple[int, int], seed: int) -> Tensor:
    """Attention with cells of exactly zero beside cells of attention: (2, 3, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, 3, *size, generator=generator) + 0.01
    return maps.where(torch.rand(2, 3, *size, generator=generator) < 0.4, 0)


@pytest.mark.parametrize("grid", range(5, 65))
@pytest.mark.parametrize("mirror", MIRRORS)
def test_whole_images_and_flips_keep_every_bit_and_the_set_of_zeros(mirror: str, grid: int) -> None:
    view, axes = MIRRORS[mirror]
    for size in ((grid, grid), (grid, 9), (7, grid)):
        maps = ring(size, grid)
        expected = maps.flip(axes)
        seen = apply_view(maps, view.expand(2, 2, 3), size)
        assert torch.equal(seen == 0, expected == 0)  # p = 0 of Eq. (8)
        assert torch.equal(seen, expected)
        back, inside = undo_view(seen[0], view.expand(3, 2, 3), size)
        assert torch.equal(back, maps[0])
        assert inside.all()


@pytest.mark.parametrize("grid", [5, 12, 24, 28, 56])
def test_quarter_turns_keep_every_bit(grid: int) -> None:
    maps = ring((grid, grid), grid)
    view = turn(90).expand(2, 2, 3)  # cos 90 degrees is 6e-17 in it, not 0
    seen = apply_view(maps, view, (grid, grid))
    assert torch.equal(seen, maps.rot90(-1, (2, 3)))
    assert torch.equal(undo_view(seen[:, 0], view, (grid, grid))[0], maps[:, 0])


def sampled(maps: Tensor, place: list[list[tuple[Fraction, Fraction]]]) -> tuple[Tensor, Tensor]:
    """Bilinear samples of maps (C, h, w) at exact places (row, column), as plain loops.

    Returns the values, (C, H, W), and whether any cell with a weight above 0 is not zero.
    """
    height, width = maps.shape[1:]
    values = torch.zeros(len(maps), len(place), len(place[0]))
    alive = torch.zeros(values.shape, dtype=torch.bool)
    for line, places in enumerate(place):
        for column, (below, right) in enumerate(places):
            y = min(max(below, Fraction(0)), Fraction(height - 1))
            x = min(max(right, Fraction(0)), Fraction(width - 1))
            for i in {math.floor(y), math.ceil(y)}:
                for j in {math.floor(x), math.ceil(x)}:
                    weight = (1 - abs(y - i)) * (1 - abs(x - j))
                    values[:, line, column] += float(weight) * maps[:, i, j]
                    alive[:, line, column] |= maps[:, i, j] > 0
    return values, alive


@pytest.mark.parametrize(
    ("grid", "left", "right", "mirrored"),
    [
        (28, Fraction(-1), Fraction(1), False),  # a map of half the cells: between the centres
        (42, Fraction(-1), Fraction(1), True),  # of a third of them: on every third centre
        (14, Fraction(-1), Fraction(1), True),
        (24, Fraction(-1, 3), Fraction(5, 6), False),  # crops; these on the cells' edges
        (24, Fraction(-1, 3), Fraction(5, 6), True),
        (12, Fraction(-1, 2), Fraction(2, 3), False),
        (28, Fraction(-3, 7), Fraction(4, 7), False),
        (28, Fraction(-31, 97), Fraction(67, 97), True),  # and these on none
        (15, Fraction(-3, 112), Fraction(109, 112), False),
    ],
)
@pytest.mark.parametrize("size", [14, 12, 28])
def test_what_a_view_shows_is_zero_exactly_where_all_that_it_is_made_of_is(
    size: int, grid: int, left: Fraction, right: Fraction, mirrored: bool
) -> None:
    sign = -1 if mirrored else 1
    scale = 2 / (right - left)
    shift = -scale * (left + right) / 2
    row = [sign * float(scale), 0.0, sign * float(shift)]
    view = torch.tensor([[row, [0.0, float(scale), float(shift)]]])
    centre = [Fraction(2 * n + 1, size) - 1 for n in range(size)]
    across = [((sign * c - shift) / scale + 1) * grid / 2 - Fraction(1, 2) for c in centre]
    down = [((c - shift) / scale + 1) * grid / 2 - Fraction(1, 2) for c in centre]
    maps = ring((grid, grid), 3)[0]
    expected, alive = sampled(maps, [[(y, x) for x in across] for y in down])
    seen = apply_view(maps[None], view, (size, size))[0]
    assert torch.equal(seen > 0, alive)
    assert torch.allclose(seen, expected, atol=1e-4)
    # Undoing is the same sampling with the view itself in place of its inverse.
    again, inside = undo_view(maps, invert_view(view).expand(3, 2, 3), (size, size))
    assert torch.equal(again > 0, alive)
    assert inside.all()


@QUICK
@given(views(), st.integers(5, 40), st.integers(5, 40), st.integers(0, 99))
def test_zero_stays_zero_under_any_view(view: Tensor, grid: int, size: int, seed: int) -> None:
    # Whole blocks of zeros, so that many samples are made of nothing else.
    maps = ring((2, 2), seed).repeat_interleave(grid, 2).repeat_interleave(grid, 3)
    maps = maps[0, :, :grid, grid // 2 : grid // 2 + grid]
    exact = invert_view(view.double())[0]
    x, y = (c.double() for c in centres((size, size)))
    for seen, matrix in (
        (apply_view(maps[None], view, (size, size))[0], exact),
        (undo_view(maps, view.expand(3, 2, 3), (size, size))[0], view[0].double()),
    ):
        column, row = ((r[0] * x + r[1] * y + r[2] + 1) * grid / 2 - 0.5 for r in matrix)
        near = torch.zeros(seen.shape, dtype=torch.bool)
        for i in (-1e-3, 1e-3):  # wider than float32's rounding
            for j in (-1e-3, 1e-3):
                for above in (0, 1):
                    for beside in (0, 1):
                        line = ((row + i).floor() + above).clamp(0, grid - 1).long()
                        place = ((column + j).floor() + beside).clamp(0, grid - 1).long()
                        near |= maps[:, line, place] > 0
        assert not seen[~near].any()


@pytest.mark.parametrize("name", ["apply", "undo"])
def test_autocast_does_not_move_a_sample(name: str) -> None:
    # bfloat16 has eight bits: coordinates in it are some hundredths of a cell off.
    maps, view = ring((24, 24), 0)[:1], crop(-0.5, -0.75, 0.7, 0.9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        if name == "apply":
            half = apply_view(maps, view, (20, 20))
        else:
            half = undo_view(maps[0], view.expand(3, 2, 3), (20, 20))[0]
    if name == "apply":
        full = apply_view(maps, view, (20, 20))
    else:
        full = undo_view(maps[0], view.expand(3, 2, 3), (20, 20))[0]
    assert torch.equal(half, full)


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


def test_a_view_of_no_numbers_shows_nothing() -> None:
    view = torch.full((1, 2, 3), torch.nan)
    whole, inside = undo_view(torch.ones(1, 4, 4), view, (3, 3))
    assert not whole.any()
    assert not inside.any()


def test_undone_maps_stay_in_the_range_of_the_map() -> None:
    maps = torch.rand(1, 5, 5)
    whole, _ = undo_view(maps, turn(33, 1.3), (50, 50))
    assert whole.min() >= 0
    assert whole.max() <= maps.max() + 1e-6


def test_a_view_that_squeezes_the_image_to_a_line_is_refused() -> None:
    flat = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    with pytest.raises(RuntimeError, match="singular"):
        invert_view(flat)


@pytest.mark.parametrize(("beyond", "shown"), [(1e-5, True), (5e-3, False)])
def test_a_centre_on_the_edge_of_the_view_is_inside_despite_rounding(
    beyond: float, shown: bool
) -> None:
    scale = (1 + beyond) / 0.75  # brings the centres of the outermost of four cells to the edge
    view = torch.tensor([[[scale, 0.0, 0.0], [0.0, scale, 0.0]]])
    inside = undo_view(torch.ones(1, 4, 4), view, (4, 4))[1]
    assert inside[0, 1:3, 1:3].all()
    assert inside[0, 0].tolist() == [shown] * 4
