"""The accumulation store's contract, and the part of it that every store shares.

Source: Jiang et al., ICCV 2019, section 3.2: "for each target class c in a given training image I,
we establish a cumulative attention map M^c".

A store holds one row per present (image, class) pair. Where the rows live, and what a commit is,
is up to the subclass.

Shapes: K maps of h x w cells; R rows; C foreground classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import StoreError
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_FALLBACK, ORIGIN_NONE, Header, Pairs

__all__ = ["ImageMaps", "MapStore"]

Ints = NDArray[np.int64]


class ImageMaps(NamedTuple):
    """The cumulative maps of one image.

    Attributes:
        categories: its present classes, 0..C-1, ascending, (K,).
        attention: their cumulative attention in [0, 1], (K, h, w), float32.
    """

    categories: Ints
    attention: NDArray[np.float32]


class MapStore(ABC):
    """Cumulative attention maps, one per present (image, class) pair.

    Attributes:
        header: what the maps mean.
        pairs: which rows there are.
        state: what the fusion rule keeps, (R, planes, h, w).
        rows: a `layout.ROW` record per row, (R,).
    """

    header: Header
    pairs: Pairs
    state: np.ndarray
    rows: np.ndarray

    def fuse(
        self,
        index: Ints,
        category: Ints,
        attention: NDArray[np.float32],
        inside: NDArray[np.bool_] | None = None,
        epoch: int = 0,
    ) -> None:
        """Fuse accepted attention maps into their cumulative maps, Eqs. (3)-(5), (10).

        Args:
            index: image of each map, (K,).
            category: class of each map, 0..C-1, (K,).
            attention: on the whole-image grid, in [0, 1], (K, h, w).
            inside: cells that the training view showed; all if None, (K, h, w).
            epoch: the epoch that the maps come from.

        Raises:
            StoreError: if a pair is absent, a shape is wrong, or a value is not in [0, 1]. The
                store is then unchanged.
        """
        rows = self._rows_of(index, category)
        attention = self._checked(attention, len(rows))
        inside = np.ones(attention.shape, bool) if inside is None else inside
        if inside.shape != attention.shape:
            raise StoreError(f"inside must be {attention.shape} (K, h, w), got {inside.shape}")
        for wave in _without_repeats(rows):
            at = rows[wave]
            old = self.state[at]
            # A fallback was never accepted: the first accepted map starts from nothing.
            old[self.rows["origin"][at] == ORIGIN_FALLBACK] = 0
            self.state[at] = self.header.rule.update(old, attention[wave], inside[wave])
            self.rows["updates"][at] += 1
            self.rows["last_epoch"][at] = epoch
            self.rows["origin"][at] = ORIGIN_ACCEPTED

    def fill(
        self, index: Ints, category: Ints, attention: NDArray[np.float32], epoch: int = 0
    ) -> None:
        """Give never-accepted pairs a fallback map, recorded as such; accepted pairs are left.

        The paper does not say what becomes of a pair whose map was never accepted. Without a
        fallback it would have no proxy label at all.

        Args:
            index: image of each map, (K,).
            category: class of each map, 0..C-1, (K,).
            attention: on the whole-image grid, in [0, 1], (K, h, w).
            epoch: the epoch that the maps come from.

        Raises:
            StoreError: as `fuse`.
        """
        rows = self._rows_of(index, category)
        attention = self._checked(attention, len(rows))
        for wave in _without_repeats(rows):
            never = wave[self.rows["origin"][rows[wave]] != ORIGIN_ACCEPTED]
            at, fallback = rows[never], attention[never]
            shown = np.ones(fallback.shape, bool)
            empty = np.zeros_like(self.state[at])
            self.state[at] = self.header.rule.update(empty, fallback, shown)
            self.rows["last_epoch"][at] = epoch
            self.rows["origin"][at] = ORIGIN_FALLBACK

    def absorb(
        self, state: np.ndarray, rows: np.ndarray, earlier: NDArray[np.uint32] | None = None
    ) -> None:
        """Merge what another shard of the same store accumulated into this one.

        Args:
            state: the other shard's state, (R, planes, h, w).
            rows: its `layout.ROW` records, (R,).
            earlier: how many updates of each row came before all those of the other shard, (R,);
                None: not known. Only a rule that is `in_order` needs it.

        Raises:
            StoreError: if both shards have maps of a pair, the rule needs to know which came later,
                and that is not known. This store is then unchanged.
        """
        if self.header.rule.in_order:
            self._require_later(rows, earlier)
        at = np.flatnonzero(rows["origin"] == ORIGIN_ACCEPTED)
        # As in `fuse`: a fallback was never accepted, so what it was starts from nothing.
        fallback = at[self.rows["origin"][at] == ORIGIN_FALLBACK]
        self.state[fallback], self.rows[fallback] = 0, 0
        self.state[at] = self.header.rule.merge(self.state[at], state[at])
        self.rows["updates"][at] += rows["updates"][at]
        self.rows["origin"][at] = ORIGIN_ACCEPTED
        last = np.maximum(self.rows["last_epoch"], rows["last_epoch"])
        self.rows["last_epoch"][at] = last[at]
        filled = rows["origin"] == ORIGIN_FALLBACK
        at = np.flatnonzero(filled & (self.rows["origin"] != ORIGIN_ACCEPTED))
        self.state[at] = self.header.rule.merge(self.state[at], state[at])
        self.rows["last_epoch"][at] = last[at]
        self.rows["origin"][at] = ORIGIN_FALLBACK

    def _require_later(self, rows: np.ndarray, earlier: NDArray[np.uint32] | None) -> None:
        """Refuse to merge rows of which neither side is known to be the later one."""
        mine, theirs = self.rows["origin"], rows["origin"]
        known = np.zeros(len(rows), bool) if earlier is None else self.rows["updates"] == earlier
        both = (mine == theirs) & (mine != ORIGIN_NONE)
        unknown = both & ~(known & (mine == ORIGIN_ACCEPTED))
        if unknown.any():
            image, category = self.pairs.pairs[int(np.flatnonzero(unknown)[0])]
            raise StoreError(
                f"fusion {self.header.fusion} depends on the order of the maps, and for "
                f"{int(unknown.sum())} pairs, first {self.pairs.ids[image]!r} "
                f"{self.pairs.classes[category]!r}, it is not known which of two shards came "
                "later; let one process see each image once per epoch, or use another fusion"
            )

    def missing(self) -> Ints:
        """Pairs (image, class) with neither an accepted nor a fallback map: (K, 2)."""
        missing: Ints = self.pairs.pairs[self.rows["origin"] == ORIGIN_NONE]
        return missing

    def maps(self, index: int) -> ImageMaps:
        """The cumulative maps of one image's present classes."""
        categories = np.flatnonzero(self.pairs.labels[index])
        rows = self.pairs.row_of[index, categories]
        return ImageMaps(categories, self.header.rule.cumulative(np.asarray(self.state[rows])))

    def dense(self, index: int) -> NDArray[np.float32]:
        """The cumulative maps of one image for every class, zero for absent ones: (C, h, w)."""
        categories, attention = self.maps(index)
        dense = np.zeros((len(self.pairs.classes), *self.header.grid), dtype=np.float32)
        dense[categories] = attention
        return dense

    @abstractmethod
    def commit(self) -> int:
        """Make the present state a new generation that survives a crash; returns its number."""

    @abstractmethod
    def roll_back(self, generation: int) -> None:
        """Return to a committed generation; later ones are dropped. 0 is the empty store.

        Raises:
            StoreError: if there is no such generation.
        """

    @abstractmethod
    def generations(self) -> list[int]:
        """Committed generations that can be rolled back to, ascending."""

    def _rows_of(self, index: Ints, category: Ints) -> Ints:
        index, category = np.asarray(index), np.asarray(category)
        images, classes = self.pairs.labels.shape
        known = (index >= 0) & (index < images) & (category >= 0) & (category < classes)
        if index.shape != category.shape or index.ndim != 1 or not known.all():
            raise StoreError(
                f"index and category must be 1-d, of one length, below {images} and {classes}; "
                f"got {index} and {category}"
            )
        rows = self.pairs.row_of[index, category]
        if (rows < 0).any():
            k = int(np.flatnonzero(rows < 0)[0])
            raise StoreError(
                f"image {self.pairs.ids[index[k]]!r} has no tag {self.pairs.classes[category[k]]!r}"
                ", so it has no such cumulative map; pass present classes only"
            )
        return rows

    def _checked(self, attention: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        expected = (count, *self.header.grid)
        if attention.shape != expected:
            raise StoreError(f"attention must be {expected} (K, h, w), got {attention.shape}")
        # Written so that NaN fails it too.
        if count and not (attention.min() >= 0 and attention.max() <= 1):
            raise StoreError(
                f"attention must be in [0, 1], got {attention.min()} to {attention.max()}"
            )
        return attention


def _without_repeats(rows: Ints) -> Iterator[Ints]:
    """Split positions into waves in which no row repeats: fancy assignment keeps one of them."""
    left = np.arange(len(rows))
    while len(left):
        _, first = np.unique(rows[left], return_index=True)
        yield left[np.sort(first)]
        left = np.delete(left, first)
