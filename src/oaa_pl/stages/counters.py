"""Count the pixels of one image's maps or label maps: a store's, proxy labels, other code's.

Kept free of Lightning and Hydra imports: worker processes import this file.

Shapes: K maps of h x w cells; H x W pixels; C foreground classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from oaa_pl.data.boxed import boxes_of
from oaa_pl.data.images import check_mask, photo_size, read_mask
from oaa_pl.data.source import Source
from oaa_pl.errors import StoreError
from oaa_pl.metrics import (
    BoundaryScore,
    BoxAccuracy,
    HeldOutThreshold,
    PixelAveragePrecision,
    SegmentationScore,
    cut,
    resized_box,
)
from oaa_pl.proxy.palette import load_label
from oaa_pl.proxy.resize import to_photo
from oaa_pl.stages.counting import Counts
from oaa_pl.store.archives import Found
from oaa_pl.store.base import MapStore
from oaa_pl.store.map_files import read_maps

__all__ = ["LabelCounter", "MapCounter", "ProxyCounter", "StoreCounter"]

_SIDE = 224  # pixels of the square in which the localisation benchmark compares boxes


@dataclass(frozen=True)
class StoreCounter:
    """Counts the pixels of an image's maps in a store.

    Attributes:
        truth: the split, with true masks.
        reader: the store.
        threshold: of the scores at a fixed threshold, in [0, 1].
        added: counts the same for other metrics: attention, classes, mask; None: no others.
    """

    truth: Source
    reader: MapStore
    threshold: float
    added: Callable[..., None] | None = None

    def empty(self) -> Counts:
        """The counts of no image."""
        ids = len(self.truth.classes) + 1
        return HeldOutThreshold(ids), SegmentationScore(ids)

    def add(self, counts: Counts, index: int) -> None:
        """Add the image of an index to counts."""
        metric, fixed = counts
        mask = torch.from_numpy(self.truth.mask(index))
        categories, attention = self.reader.maps(index)
        whole = to_photo(attention, (mask.shape[0], mask.shape[1]))
        shown = torch.from_numpy(whole), torch.from_numpy(categories)
        metric.update(*shown, mask)
        fixed.update(cut(*shown, self.threshold), mask)
        if self.added is not None:
            self.added(*shown, mask.long())


@dataclass(frozen=True)
class ProxyCounter:
    """Counts the pixels of an image's two proxy labels.

    Attributes:
        truth: the split, with true masks.
        folder: has `proxy/<id>.png` and `hard/<id>.png`.
        added: count the same for other metrics, of either label: label, mask; empty: no others.
    """

    truth: Source
    folder: Path
    added: tuple[Callable[..., None], ...] = ()

    def empty(self) -> Counts:
        """The counts of no image."""
        ids = len(self.truth.classes) + 1
        return SegmentationScore(ids), SegmentationScore(ids)

    def add(self, counts: Counts, index: int) -> None:
        """Add the image of an index to counts."""
        mask = torch.from_numpy(self.truth.mask(index))
        for place, kind in enumerate(("proxy", "hard")):
            path = self.folder / kind / f"{self.truth.ids[index]}.png"
            made = torch.from_numpy(load_label(path))
            counts[place].update(made, mask)
            if self.added:
                self.added[place](made, mask)


@dataclass(frozen=True)
class LabelCounter:
    """Counts the pixels of an image's label map.

    Attributes:
        folder: of the label maps.
        source: the split, with true masks.
    """

    folder: Path
    source: Source

    def empty(self) -> Counts:
        """The counts of no image."""
        ids = len(self.source.classes) + 1
        return SegmentationScore(ids), BoundaryScore(ids)

    def add(self, counts: Counts, index: int) -> None:
        """Add the image of an index to counts."""
        mask, path = self.source.mask(index), self.folder / f"{self.source.ids[index]}.png"
        found = read_mask(path)
        check_mask(found, path, len(self.source.classes), (mask.shape[0], mask.shape[1]))
        for count in counts:
            count.update(torch.from_numpy(found), torch.from_numpy(mask))


@dataclass(frozen=True)
class MapCounter:
    """Counts the pixels and the boxes of an image's maps.

    Attributes:
        folder: of the maps.
        source: the split, with true masks or boxes.
        threshold: of the scores at a fixed threshold, in [0, 1].
    """

    folder: Path
    source: Source
    threshold: float

    def empty(self) -> Counts:
        """The counts of no image."""
        ids = len(self.source.classes) + 1
        edges, boxes, unlike = BoundaryScore(ids), BoxAccuracy(), list[int]()
        pixels = PixelAveragePrecision()
        return HeldOutThreshold(ids), SegmentationScore(ids), edges, pixels, boxes, unlike

    def add(self, counts: Counts, index: int) -> None:
        """Add the image of an index to counts."""
        held, fixed, edges, pixels, boxes, unlike = counts
        source = self.source
        found = read_maps(self.folder, source.ids[index], range(len(source.classes)))
        if {one.category for one in found} != set(np.flatnonzero(source.labels[index]).tolist()):
            unlike.append(index)
        if source.has_masks:
            mask = torch.from_numpy(source.mask(index))
            shown = _resized(found, (mask.shape[0], mask.shape[1]))
            labels = cut(*shown, self.threshold)
            held.update(*shown, mask)
            pixels.update(*shown, mask)
            fixed.update(labels, mask)
            edges.update(labels, mask)
        _compare_boxes(boxes, source, index, found)


def _compare_boxes(boxes: BoxAccuracy, source: Source, index: int, found: Sequence[Found]) -> None:
    """Count the maps of an image whose classes have true boxes, as the benchmark does."""
    true = boxes_of(source, index)
    if not true:
        return
    of_class = {one.category: one for one in found}
    lost = [source.classes[c] for c in true if c not in of_class]
    if source.has_masks:  # a class without a map has no pixel there, and here no part to find
        nothing = np.zeros((1, 1), np.float32)
        of_class |= {c: Found(c, nothing) for c in true if c not in of_class}
    elif lost:
        raise StoreError(
            f"image {source.ids[index]!r} has boxes of {', '.join(lost)} but no map of it: add the "
            "map, or remove the box"
        )
    height, width = photo_size(source.photo_path(index))
    attention, _ = _resized([of_class[c] for c in true], (_SIDE, _SIDE))
    scaled = [
        np.array([resized_box(box, (height, width), (_SIDE, _SIDE)) for box in ends.tolist()])
        for ends in true.values()
    ]
    boxes.update(attention, scaled)


def _resized(found: Sequence[Found], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Maps at another size, (K, H, W), and their classes, (K,)."""
    whole = [to_photo(one.attention[None], size)[0] for one in found]
    attention = np.stack(whole) if whole else np.zeros((0, *size), np.float32)
    categories = torch.tensor([one.category for one in found], dtype=torch.int64)
    return torch.from_numpy(attention.clip(0, 1)), categories
