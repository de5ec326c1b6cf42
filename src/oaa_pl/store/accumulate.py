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
from oaa_pl.errors import ShapeError, StoreError
from oaa_pl.losses import image_scores
from oaa_pl.store.attention_store import AttentionStore
from oaa_pl.store.base import MapStore
from oaa_pl.store.host_copy import HostCopy
from oaa_pl.store.writer_thread import WriterThread

__all__ = ["Gate", "ToAttention", "accumulate"]

Gate = Callable[[Tensor, Tensor], Tensor]
ToAttention = Callable[[Tensor], Tensor]


@torch.no_grad()
def accumulate(
    store: AttentionStore | MapStore | Iterable[AttentionStore | MapStore],
    score_map: Tensor,
    labels: Tensor,
    index: Tensor,
    view: Tensor | None = None,
    repeat: Tensor | None = None,
    *,
    gate: Gate = beats_absent_classes,
    to_attention: ToAttention = class_attention,
    epoch: int = 0,
    keep_empty: bool = False,
    fill_rejected: bool = False,
    scores: Tensor | None = None,
    writer: WriterThread | None = None,
) -> Tensor:
    """Fuse a batch's trusted attention maps into the cumulative maps of a store, or of several.

    Call it after every training step, and `store.commit()` after every epoch: what is not
    committed is lost in a crash. `store.close()`, or the end of a `with store:` block, commits the
    rest. With several processes use `AttentionAccumulation`.

    Args:
        store: where the cumulative maps live. Several stores may have different grids.
        score_map: raw class scores F, (B, C, H, W).
        labels: 1 where the class is in the image, (B, C).
        index: the images' places in the data set, whole numbers, (B,).
        view: whole-image to view coordinates, (B, 2, 3); whole images if None.
        repeat: copies that pad an epoch and must not be fused again, bool, (B,); none if None.
        gate: from scores (B, C) and labels, bool (B, C), to bool (B, C): which maps are trusted.
        to_attention: from score maps to attention in [0, 1], both (B, C, H, W).
        epoch: the training epoch, kept with each row.
        keep_empty: whether a map with no positive value can be accepted. Release: it can.
        fill_rejected: a map that is not accepted becomes the fallback of a pair that has none yet.
            Release: in the last epoch.
        scores: class scores for the gate, (B, C), where the mean of a map is not the score: of a
            class token, or of a map by gradients. None: the mean of the map.
        writer: a thread that fuses the maps, while this function returns; call its `drain` before
            you read or commit. None: they are fused when this function returns.

    Returns:
        Whether each map was accepted, bool, (B, C), on the score map's device.

    Raises:
        ShapeError: if an argument has another shape than it must have.
        StoreNotEmptyError: if a store's folder holds maps of an earlier run, and it was opened with
            neither `resume` nor `overwrite`. Nothing is lost.
        StoreError: if an image or class is not in a store, or a folder cannot be written. With a
            `writer`, also if an earlier call's maps could not be fused.

    Examples:
        >>> from tempfile import mkdtemp
        >>> store = AttentionStore(mkdtemp(), ["a", "b"], ["cat", "dog"], [[1, 0], [1, 1]])
        >>> score_map, labels = torch.ones(1, 2, 8, 8), torch.tensor([[1, 1]])
        >>> accumulate(store, score_map, labels, torch.tensor([1])).tolist()
        [[True, True]]
        >>> store.commit()
        1
        >>> store["b", "dog"].shape
        (32, 32)
        >>> store.close()
    """
    named = [store] if isinstance(store, AttentionStore | MapStore) else list(store)
    stores = [one.writer() if isinstance(one, AttentionStore) else one for one in named]
    # A plain loop may keep its tags in lists or arrays, and its indices on the CPU.
    score_map = torch.as_tensor(score_map)
    device = score_map.device
    labels, index = _on(device, labels), _on(device, index)
    view = None if view is None else _on(device, view)
    repeat = None if repeat is None else _on(device, repeat)
    _check_shapes(stores, score_map, labels, index, view, repeat)
    if scores is not None and scores.shape != labels.shape:
        raise ShapeError(
            f"scores must be (B, C) = {tuple(labels.shape)} like labels, got {tuple(scores.shape)}"
        )
    trusted = gate(image_scores(score_map) if scores is None else scores, labels > 0)
    attention = to_attention(score_map)
    # An empty map shows nothing. A NaN must never be fused; no comparison with it is true.
    peak = attention.amax(dim=(2, 3))
    usable = peak >= 0 if keep_empty else peak > 0
    if repeat is not None:
        usable = usable & ~repeat.bool()[:, None]
    trusted = trusted & usable
    taken = usable & (labels > 0) if fill_rejected else trusted
    places = _places(taken, max((store.pairs.most_classes for store in stores), default=1))
    if not len(places):
        return trusted
    image, category = places // taken.shape[1], places % taken.shape[1]
    view = identity_view(len(index), device) if view is None else view
    chosen, chosen_view = attention[image, category], view[image].to(attention.dtype)
    flags = taken[image, category], trusted[image, category], taken.sum()
    parts = [index[image], category, *flags]
    for target in stores:
        maps, inside = undo_view(chosen, chosen_view, target.header.grid)
        parts += [maps.clamp(0, 1), inside]  # interpolation may round a peak to just above 1
    copy = HostCopy(parts)

    def write() -> None:
        where, what, there, accepted, count, *of_stores = copy.arrays()
        if count > len(there):
            raise StoreError(
                f"labels must be the store's: {count} maps of {len(taken)} images were accepted, "
                "and no images of the store have so many tags"
            )
        for target, whole, shown in zip(stores, of_stores[::2], of_stores[1::2], strict=True):
            # A map may become empty: its peak was in padding, or between cells of a coarse grid.
            left = there & accepted & (keep_empty | whole.any(axis=(1, 2)))
            target.fuse(where[left], what[left], whole[left], shown[left], epoch)
            if fill_rejected:
                rest = there & ~accepted
                target.fill(where[rest], what[rest], whole[rest], epoch)

    if writer is None:
        write()
    else:
        writer.put(write)
    return trusted


def _on(device: torch.device, values: Tensor) -> Tensor:
    """Values as a tensor of a device. A CUDA device does not wait for them."""
    return torch.as_tensor(values).to(device, non_blocking=device.type == "cuda")


def _places(taken: Tensor, most_classes: int) -> Tensor:
    """Places of the true cells of a mask (B, C), row by row, in the flat mask: (K,) int64.

    How many there are is known only on the device, and to ask would make the host wait for it. So
    on a device K is what may be needed at most, and the places after the true ones mean nothing.
    """
    flat = taken.flatten()
    if flat.device.type == "cpu":
        return flat.nonzero()[:, 0]
    true_first = flat.to(torch.uint8).argsort(descending=True, stable=True)
    return true_first[: len(taken) * max(most_classes, 1)]  # 1: a foreign tag is then an error


def _check_shapes(
    stores: Iterable[MapStore],
    score_map: Tensor,
    labels: Tensor,
    index: Tensor,
    view: Tensor | None,
    repeat: Tensor | None,
) -> None:
    """Refuse what is not a score map with its tags. Looks at shapes only: no device waits."""
    found = tuple(score_map.shape)
    if score_map.ndim != 4:
        hint = {
            2: "these look like pooled scores; give the map before the pooling",
            3: "these look like a transformer's tokens (B, N, D); apply the classifier to each "
            "patch token and reshape to the grid: scores.transpose(1, 2).unflatten(2, (h, w))",
        }
        raise ShapeError(
            f"score_map must be (B, C, H, W), the class scores of each cell, got {found}: "
            f"{hint.get(score_map.ndim, 'one map for each image and class is needed')}"
        )
    batch, classes = found[:2]
    if found[2] * found[3] == 1:
        raise ShapeError(
            f"score_map {found} has one cell for a whole image, which shows no place; give the map "
            "before the pooling, or larger images, or a network of a smaller stride"
        )
    if labels.shape != (batch, classes):
        raise ShapeError(
            f"labels must be (B, C) = {(batch, classes)} like score_map {found}, got "
            f"{tuple(labels.shape)}{_labels_hint(labels, batch, classes)}"
        )
    for store in stores:
        if len(store.pairs.classes) != classes:
            raise ShapeError(
                f"score_map has {classes} classes, the store {len(store.pairs.classes)}: "
                f"{', '.join(store.pairs.classes[:5])}...; both must have the same, in one order, "
                "without background"
            )
    if index.shape != (batch,) or index.is_floating_point() or index.dtype == torch.bool:
        raise ShapeError(
            f"index must be {batch} whole numbers, the images' places in the data set, got "
            f"{index.dtype} {tuple(index.shape)}"
        )
    if view is not None and view.shape != (batch, 2, 3):
        raise ShapeError(
            f"view must be (B, 2, 3) = {(batch, 2, 3)}, whole-image to view coordinates, got "
            f"{tuple(view.shape)}; leave it out if training sees whole images"
        )
    if repeat is not None and repeat.shape != (batch,):
        raise ShapeError(f"repeat must be (B,) = {(batch,)}, got {tuple(repeat.shape)}")


def _labels_hint(labels: Tensor, batch: int, classes: int) -> str:
    """What to do about labels of another shape than (B, C), where that is known."""
    if labels.shape == (batch,):
        return (
            "; of one class number an image, make 0 and 1 of each class: "
            f"torch.nn.functional.one_hot(labels, {classes})"
        )
    if labels.ndim != 2:
        return ""
    if len(labels) != batch:
        return (
            "; maps and tags must be of the same images: where a step runs the network on several "
            "views of them, give the maps of one, with its `view`"
        )
    more = labels.shape[1] == classes - 1
    return "; leave out the background channel: score_map[:, 1:]" if more else ""
