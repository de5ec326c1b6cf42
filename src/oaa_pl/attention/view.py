"""Undo a training view: bring its maps back to the grid of the whole photo, and the reverse.

Source: Jiang et al., ICCV 2019, section 3.2, fuses maps of the same image from different epochs
cell by cell. So the maps must be of the same view: each epoch's flip, crop, scale or rotation is
undone.

Coordinates are normalised: -1 and 1 are the outer edges of the first and the last cell. A `view`
maps (x, y, 1) of the whole photo to (x, y) of the network's input.

Shapes: K maps; h x w cells of the whole-image grid, H x W cells of the view's map.
"""

import torch
from torch import Tensor

__all__ = ["apply_view", "identity_view", "invert_view", "undo_view"]

# A cell whose centre falls within a thousandth of the view's edge is inside it: float32 puts the
# centres of a whole-image view on either side of the exact edge.
_EDGE = 1.0 + 1e-3

# A sample this near to a cell's centre, as a part of the map's side, is meant to be on it: float32
# rounds it off by some 1e-7 of the side, and a weight of 1e-7 would turn a neighbour's zero into a
# value above zero. Eqs. (7) and (8) treat these differently.
_ON_CENTRE = 2e-6


def identity_view(count: int, device: torch.device | None = None) -> Tensor:
    """Views of whole images: (count, 2, 3), float32."""
    return torch.eye(2, 3, device=device).repeat(count, 1, 1)


def invert_view(view: Tensor) -> Tensor:
    """The maps from view coordinates to whole-image coordinates.

    Args:
        view: whole-image coordinates to view coordinates, (K, 2, 3).

    Returns:
        View coordinates to whole-image coordinates, (K, 2, 3).

    Raises:
        torch.linalg.LinAlgError: if a view is degenerate (squeezes the image to a line).
    """
    view = _at_least_float32(view)
    inverse = torch.linalg.inv(view[:, :, :2])
    # Not a matrix product: autocast would round it to bfloat16.
    shift = -(inverse * view[:, None, :, 2]).sum(dim=2, keepdim=True)
    return torch.cat([inverse, shift], dim=2)


def undo_view(maps: Tensor, view: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Bring maps of a training view to the whole-image grid, bilinearly, in one call.

    Args:
        maps: one map per view, (K, H, W), floating point.
        view: whole-image coordinates to view coordinates, (K, 2, 3).
        grid: cells (h, w) of the whole-image grid.

    Returns:
        Maps on the whole-image grid, (K, h, w), zero outside the view; and whether each cell's
        centre is inside the view, bool, (K, h, w). A cell that is interpolated from zeros is
        exactly zero. Where every cell falls on one cell of the map (the whole image on the same
        grid, its flips, its quarter turns) the values are copied bit by bit.
    """
    whole, inside = _sample(maps[:, None], view, grid)
    return whole[:, 0], inside


def apply_view(maps: Tensor, view: Tensor, size: tuple[int, int]) -> Tensor:
    """Show whole-image maps as a training view shows the photo: the reverse of `undo_view`.

    Args:
        maps: maps on the whole-image grid, (B, C, h, w), floating point.
        view: whole-image coordinates to view coordinates, (B, 2, 3).
        size: cells (H, W) of the view's map.

    Returns:
        Maps in the view, (B, C, H, W); zero where the view shows no part of the photo. A value that
        is interpolated from zeros is exactly zero: Eqs. (7) and (8) separate p > 0 from p = 0.
        Flips, quarter turns and whole images on the same grid are exact, as in `undo_view`.

    Raises:
        torch.linalg.LinAlgError: if a view is degenerate (squeezes the image to a line).
    """
    return _sample(maps, invert_view(view), size)[0]


def _sample(maps: Tensor, where: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Sample maps (N, C, H, W) bilinearly on a grid of `size`, zero outside of them.

    `where` maps the grid's coordinates to those of the maps, (N, 2, 3). Returns (N, C, *size), and
    bool, (N, *size): whether a cell's centre is inside the maps. `grid_sample` is not used: it
    keeps weights of 1e-7 where a centre falls on a centre, and under autocast `affine_grid` rounds
    coordinates to bfloat16.
    """
    where = _at_least_float32(where)
    y, x = (_centres(cells, where) for cells in size)
    # (N, h, w) each, elementwise in full precision.
    across, down = (
        a[:, 0, None, None] * x + a[:, 1, None, None] * y[:, None] + a[:, 2, None, None]
        for a in where.unbind(1)
    )
    inside = (across.abs() <= _EDGE) & (down.abs() <= _EDGE)
    left, right, to_right = _neighbours(across, maps.shape[3])
    above, below, to_below = _neighbours(down, maps.shape[2])
    flat = maps.flatten(2)

    def cells(row: Tensor, column: Tensor) -> Tensor:
        place = (row * maps.shape[3] + column).flatten(1)[:, None]
        return flat.gather(2, place.expand(-1, maps.shape[1], -1)).view(*maps.shape[:2], *size)

    upper = cells(above, left) * (1 - to_right) + cells(above, right) * to_right
    lower = cells(below, left) * (1 - to_right) + cells(below, right) * to_right
    values = (upper * (1 - to_below) + lower * to_below).to(maps.dtype)
    return values.where(inside[:, None], 0), inside


def _centres(cells: int, like: Tensor) -> Tensor:
    """Coordinates of the centres of `cells` cells in a row, (cells,)."""
    # CUDA divides by a Python number as a product with its rounded inverse. Divided by a tensor,
    # the centres of a GPU are a CPU's, bit for bit.
    count = torch.full((), cells, device=like.device, dtype=like.dtype)
    return (torch.arange(cells, device=like.device, dtype=like.dtype) * 2 + 1) / count - 1


def _neighbours(coordinate: Tensor, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two cells beside a coordinate on an axis, and the weight of the second.

    Where the coordinate is on a cell's centre, or beyond the outermost centre, both are the same
    cell and the weight is exactly 0. So the outermost cells are repeated: interpolating with zeros
    outside would darken the edge of a view. Returns int64, int64 and float, each in the
    shape of `coordinate`, the weight with an axis for the classes, (N, 1, h, w).
    """
    # A coordinate that is NaN counts as outside, whatever cell it is given.
    place = ((coordinate + 1) * (cells / 2) - 0.5).clamp(0, cells - 1).nan_to_num(0)
    nearest = place.round()
    place = nearest.where((place - nearest).abs() <= _ON_CENTRE * cells, place)
    first = place.floor()
    weight = place - first
    second = first + (weight > 0)
    return first.long(), second.long(), weight[:, None]


def _at_least_float32(view: Tensor) -> Tensor:
    """A view in float32, or as it is in float64: half precision cannot represent 1 - 1/321."""
    return view.to(torch.promote_types(view.dtype, torch.float32))
