"""Undo a training view: bring its maps back to the grid of the whole photo, and the reverse.

Paper: section 3.2 fuses maps of the same image from different epochs cell by cell, which is only
meaningful once each epoch's flip, crop, scale or rotation has been undone.

Coordinates are normalised: -1 and 1 are the outer edges of the first and the last cell. A `view`
maps (x, y, 1) of the whole photo to (x, y) of the network's input.

Shapes: K maps; h x w cells of the whole-image grid, H x W cells of the view's map.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["apply_view", "identity_view", "invert_view", "undo_view"]

# A cell whose centre falls within a thousandth of the view's edge is inside it: float32 puts the
# centres of a whole-image view on either side of the exact edge.
_EDGE = 1.0 + 1e-3


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
    inverse = torch.linalg.inv(view[:, :, :2])
    return torch.cat([inverse, -inverse @ view[:, :, 2:]], dim=2)


def undo_view(maps: Tensor, view: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Bring maps of a training view to the whole-image grid, bilinearly, in one call.

    Args:
        maps: one map per view, (K, H, W), float32.
        view: whole-image coordinates to view coordinates, (K, 2, 3), float32.
        grid: cells (h, w) of the whole-image grid.

    Returns:
        Maps on the whole-image grid, (K, h, w), zero outside the view; and whether each cell's
        centre lies inside the view, bool, (K, h, w). Maps of whole images on the same grid come
        back as they are, to the last bit.
    """
    where = F.affine_grid(view, [len(maps), 1, *grid], align_corners=False)
    inside = (where.abs() <= _EDGE).all(dim=3)
    # Border padding: a cell centre inside the view, but in its outermost half cell, takes the
    # edge's value and is not darkened by an outside that does not exist.
    whole = F.grid_sample(maps[:, None], where, padding_mode="border", align_corners=False)[:, 0]
    if maps.shape[1:] == grid:
        untouched = (view == identity_view(1, view.device)).all(dim=(1, 2))
        whole = maps.where(untouched[:, None, None], whole)
    return whole.where(inside, 0), inside


def apply_view(maps: Tensor, view: Tensor, size: tuple[int, int]) -> Tensor:
    """Show whole-image maps as a training view shows the photo: the reverse of `undo_view`.

    Args:
        maps: maps on the whole-image grid, (B, C, h, w).
        view: whole-image coordinates to view coordinates, (B, 2, 3).
        size: cells (H, W) of the view's map.

    Returns:
        Maps in the view, (B, C, H, W); zero where the view shows nothing of the photo.
    """
    batch, classes = maps.shape[:2]
    where = F.affine_grid(invert_view(view), [batch, classes, *size], align_corners=False)
    inside = (where.abs() <= _EDGE).all(dim=3)[:, None]
    return F.grid_sample(maps, where, padding_mode="border", align_corners=False).where(inside, 0)
