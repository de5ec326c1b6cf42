"""Write a trained network's own maps into a store.

Shapes: B photos, C foreground classes, H x W pixels; h x w cells.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oaa_pl.attention.view import identity_view, undo_view
from oaa_pl.callbacks.progress import bar
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.store.base import MapStore
from oaa_pl.types import Batch

__all__ = ["export", "mean_score_map"]


@torch.no_grad()
def export(
    net: nn.Module,
    data: Sequence[OaaDataModule],
    store: MapStore,
    to_attention: Callable[[Tensor], Tensor],
    *,
    flip: bool = False,
    only: NDArray[np.int64] | None = None,
    what: str = "attend",
) -> None:
    """Write a network's attention to every present class into a store, as fallback maps.

    Args:
        net: images (B, 3, H, W) to score maps (B, C, h, w), in float32, on its device.
        data: predict loaders of whole photos, one for each scale.
        store: where the maps go; accepted maps in it are left alone.
        to_attention: from score maps to attention in [0, 1].
        flip: whether to look at the mirrored photos too.
        only: attend only to these pairs (image, class), (K, 2); to all present ones if None.
        what: shown on the progress bar.
    """
    wanted = torch.from_numpy(store.pairs.labels.copy())
    if only is not None:
        wanted = torch.zeros_like(wanted)
        wanted[only[:, 0], only[:, 1]] = True
        if not len(only):
            return
    grid = store.header.grid
    with bar(len(store.pairs.ids), what) as progress:
        for batches in zip(*(scale.predict_dataloader() for scale in data), strict=True):
            index, view = batches[0]["index"], batches[0]["view"]
            present = wanted[index]
            if present.any():
                if len(batches) == 1 and not flip:
                    score_map = _score_map(net, batches[0]["image"])
                else:
                    score_map, view = mean_score_map(net, batches, grid, flip)
                attention = to_attention(score_map).cpu()
                image, category = present.nonzero(as_tuple=True)
                maps, _ = undo_view(attention[image, category], view[image], grid)
                maps = maps.nan_to_num(0).clamp(0, 1)
                store.fill(index[image].numpy(), category.numpy(), maps.numpy())
            progress.update(len(index))


def mean_score_map(
    net: nn.Module, batches: Sequence[Batch], grid: tuple[int, int], flip: bool
) -> tuple[Tensor, Tensor]:
    """Mean of a network's score maps of the same photos at several scales, mirrored or not.

    Scores are averaged, not attention: each view's attention has a peak of 1, however weak its
    evidence, and the mean of peaks at different cells would have none.

    Args:
        net: images (B, 3, H, W) to score maps (B, C, h, w).
        batches: the photos at each scale, with their views.
        grid: cells (h, w) of the result.
        flip: whether to look at the mirrored photos too.

    Returns:
        Score map on the grid of the whole photo, (B, C, h, w), 0 where no view shows it; and the
        views that show whole photos, (B, 2, 3).
    """
    total, shown = torch.zeros(()), torch.zeros(())
    for batch in batches:
        for mirrored in (False, True) if flip else (False,):
            image = batch["image"].flip(3) if mirrored else batch["image"]
            score_map = _score_map(net, image)
            score_map = score_map.flip(3) if mirrored else score_map
            count, classes = score_map.shape[:2]
            view = batch["view"].to(score_map.device).repeat_interleave(classes, dim=0)
            whole, inside = undo_view(score_map.flatten(0, 1), view, grid)
            total = total.to(whole.device) + whole.view(count, classes, *grid)
            shown = shown.to(whole.device) + inside.view(count, classes, *grid)
    return total / shown.clamp(min=1), identity_view(len(total))


def _score_map(net: nn.Module, image: Tensor) -> Tensor:
    score_map: Tensor = net(image.to(next(net.parameters()).device))
    return score_map
