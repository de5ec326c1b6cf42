"""Online attention accumulation for one training batch: the algorithm, without a trainer.

Source: Jiang et al., ICCV 2019, section 3.2. The Lightning callback only decides when to call
this; a plain PyTorch loop calls it after each step.

Shapes: B images, C foreground classes, H x W cells of the score map.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from oaa_pl.attention.cam import class_attention
from oaa_pl.attention.gate import beats_absent_classes
from oaa_pl.attention.view import identity_view, undo_view
from oaa_pl.losses import image_scores
from oaa_pl.store.base import AttentionStore

__all__ = ["Gate", "Normalisation", "accumulate"]

Gate = Callable[[Tensor, Tensor], Tensor]
Normalisation = Callable[[Tensor], Tensor]


@torch.no_grad()
def accumulate(
    stores: Iterable[AttentionStore],
    score_map: Tensor,
    labels: Tensor,
    index: Tensor,
    view: Tensor | None = None,
    repeat: Tensor | None = None,
    *,
    gate: Gate = beats_absent_classes,
    normalise: Normalisation = class_attention,
    epoch: int = 0,
    keep_empty: bool = False,
    fill_rejected: bool = False,
) -> Tensor:
    """Fuse a batch's trusted attention maps into the cumulative maps of every store.

    Args:
        stores: where the cumulative maps live; their grids may differ.
        score_map: raw class scores F, (B, C, H, W).
        labels: 1 where the class is in the image, (B, C).
        index: the images' places in the data set, int64, (B,).
        view: whole-image to view coordinates, (B, 2, 3); whole images if None.
        repeat: copies that pad an epoch and must not be fused again, bool, (B,); none if None.
        gate: maps scores (B, C) and presence, bool (B, C), to trust, bool (B, C).
        normalise: maps score maps to attention in [0, 1], both (B, C, H, W).
        epoch: the training epoch, kept with each row.
        keep_empty: a map with no positive value may be accepted as well. Release: it counts.
        fill_rejected: a map that is not accepted becomes the fallback of a pair that has none yet.
            Release: in the last epoch.

    Returns:
        Whether each map was accepted, bool, (B, C), on the score map's device.

    Raises:
        StoreError: if an image or class is not in a store.
    """
    device = score_map.device  # a plain loop may keep its indices on the CPU
    labels, index = labels.to(device), index.to(device)
    trusted = gate(image_scores(score_map), labels > 0)
    attention = normalise(score_map)
    # An empty map shows nothing; and a NaN, which no comparison passes, must never get in.
    peak = attention.amax(dim=(2, 3))
    usable = peak >= 0 if keep_empty else peak > 0
    if repeat is not None:
        usable = usable & ~repeat.to(device)[:, None]
    trusted = trusted & usable
    taken = usable & (labels > 0) if fill_rejected else trusted
    image, category = taken.nonzero(as_tuple=True)
    if not len(image):
        return trusted
    view = identity_view(len(index), device) if view is None else view.to(device)
    chosen, chosen_view = attention[image, category], view[image].to(attention.dtype)
    where, what = index[image].numpy(force=True), category.numpy(force=True)
    accepted = trusted[image, category].numpy(force=True)
    for store in stores:
        maps, inside = undo_view(chosen, chosen_view, store.header.grid)
        # Interpolation may round a peak to just above 1.
        whole, shown = maps.clamp(0, 1).numpy(force=True), inside.numpy(force=True)
        # A peak may lie between the cells of a coarse grid, or in padding: nothing is left of it.
        left = accepted & (keep_empty | whole.any(axis=(1, 2)))
        store.fuse(where[left], what[left], whole[left], shown[left], epoch)
        if fill_rejected:
            rest = ~accepted
            store.fill(where[rest], what[rest], whole[rest], epoch)
    return trusted
