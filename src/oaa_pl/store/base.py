"""The accumulation store's contract, and the part of it that every store shares.

Source: Jiang et al., ICCV 2019, section 3.2: "for each target class c in a given training image I,
we establish a cumulative attention map M^c".

A store holds one row per present (image, class) pair. Where the rows live, and what a commit is,
is up to the subclass.

Shapes: K maps of h x w cells; R rows; C foreground classes.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import StoreError
from oaa_pl.store.bits import require_attention
from oaa_pl.store.files import blocks
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_FALLBACK, ORIGIN_NONE, Header, Pairs
from oaa_pl.store.order import require_later
from oaa_pl.store.pages import in_order
from oaa_pl.store.waves import waves

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
        state: what the fusion rule keeps, read-only, (R, planes, h, w).
        rows: a `layout.ROW` record per row, read-only, (R,).
    """

    header: Header
    pairs: Pairs
    state: np.ndarray
    rows: np.ndarray

    def _hold(self, state: np.ndarray, rows: np.ndarray) -> None:
        """Keep the maps in these arrays: (R, planes, h, w) and (R,)."""
        # Plain arrays: each look into a `numpy.memmap` makes one more of them, in microseconds.
        self._state, self._rows = np.asarray(state), np.asarray(rows)
        # Columns of the records: to look each of them up takes longer than to change a few rows.
        self._updates, self._last_epoch, self._origin = (
            self._rows[name] for name in ("updates", "last_epoch", "origin")
        )
        # Others only read: a row that changes without `_changes` would be missing in a commit.
        self.state, self.rows = state.view(), rows.view()
        self.state.flags.writeable = self.rows.flags.writeable = False

    def _changes(self, rows: Ints | slice) -> None:  # noqa: B027  # for who commits changes alone
        """Called with the rows that are about to change: (K,)."""

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
        require_attention(attention, (len(rows), *self.header.grid))
        if inside is not None and inside.shape != attention.shape:
            raise StoreError(f"inside must be {attention.shape} (K, h, w), got {inside.shape}")
        self._changes(rows)
        for wave in waves(rows):
            at, shown = rows[wave], None if inside is None else inside[wave]
            # A fallback was never accepted: the first accepted map starts from nothing.
            fallback = at[self._origin[at] == ORIGIN_FALLBACK]
            if len(fallback):
                self._state[fallback] = 0
            self.header.rule.update_rows(self._state, at, attention[wave], shown)
            self._updates[at] += 1
            self._last_epoch[at] = epoch
            self._origin[at] = ORIGIN_ACCEPTED

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
        require_attention(attention, (len(rows), *self.header.grid))
        for wave in waves(rows):
            never = self._origin[rows[wave]] != ORIGIN_ACCEPTED
            at, fallback = rows[wave][never], attention[wave][never]
            self._changes(at)
            self._state[at] = 0
            self.header.rule.update_rows(self._state, at, fallback, None)
            self._last_epoch[at] = epoch
            self._origin[at] = ORIGIN_FALLBACK

    def absorb(
        self,
        state: np.ndarray,
        rows: np.ndarray,
        at: Ints | None = None,
        earlier: NDArray[np.uint32] | None = None,
    ) -> None:
        """Merge what another shard of the same store accumulated into this one.

        Args:
            state: the other shard's state, (K, planes, h, w).
            rows: its `layout.ROW` records, (K,).
            at: the rows that they belong to, none twice, (K,); all R rows if None.
            earlier: how many updates of each of these rows came before all those of the other
                shard, (K,); None: not known. Only a rule that is `in_order` needs it.

        Raises:
            StoreError: if both shards have maps of a pair, the rule needs to know which came later,
                and that is not known. This store is then unchanged.
        """
        if self.header.rule.in_order:
            require_later(self, rows, np.arange(len(rows)) if at is None else at, earlier)
        with in_order(self._state):
            for part in blocks(len(rows), state[:1].nbytes):  # it may be larger than the memory
                mine = np.arange(part.start, part.stop) if at is None else at[part]
                self._absorb_block(np.asarray(state[part]), rows[part], mine)

    def _absorb_block(self, state: np.ndarray, rows: np.ndarray, at: Ints) -> None:
        rule, origin = self.header.rule, self._origin
        accepted, filled = (rows["origin"] == kind for kind in (ORIGIN_ACCEPTED, ORIGIN_FALLBACK))
        filled &= origin[at] != ORIGIN_ACCEPTED
        self._changes(at[accepted | filled])
        # As in `fuse`: a fallback was never accepted, so what it was starts from nothing.
        fallback = at[accepted & (origin[at] == ORIGIN_FALLBACK)]
        self._state[fallback], self._rows[fallback] = 0, 0
        last = np.maximum(self._last_epoch[at], rows["last_epoch"])
        for taken, kind in ((accepted, ORIGIN_ACCEPTED), (filled, ORIGIN_FALLBACK)):
            mine = at[taken]
            self._state[mine] = rule.merge(self._state[mine], state[taken])
            self._last_epoch[mine] = last[taken]
            origin[mine] = kind
        self._updates[at[accepted]] += rows["updates"][accepted]

    def replace(self, state: np.ndarray, rows: np.ndarray) -> None:
        """Hold these maps and no others.

        Args:
            state: what the fusion rule keeps, (R, planes, h, w).
            rows: a `layout.ROW` record per row, (R,).
        """
        self._changes(slice(None))
        with in_order(self._state):
            self._state[:], self._rows[:] = state, rows

    def missing(self) -> Ints:
        """Pairs (image, class) with neither an accepted nor a fallback map: (K, 2)."""
        missing = self.rows["origin"] == ORIGIN_NONE  # often of no row; all pairs take memory
        return self.pairs.pairs[missing] if missing.any() else np.zeros((0, 2), np.int64)

    def maps(self, index: int) -> ImageMaps:
        """The cumulative maps of one image's present classes."""
        categories = np.flatnonzero(self.pairs.labels[index])
        start = int(self.pairs.first_row[index])
        state = np.asarray(self.state[start : start + len(categories)])
        return ImageMaps(categories, self.header.rule.cumulative(state))

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
        whole = index.dtype.kind in "iu" and category.dtype.kind in "iu"
        try:
            if not whole or index.shape != category.shape or index.ndim != 1:
                raise IndexError
            index, category = (one.astype(np.int64, copy=False) for one in (index, category))
            rows = self.pairs.rows_of(index, category)
            # One look at all three: NumPy would count a place below 0 from the end.
            if not len(rows) or (rows | index | category).min() >= 0:
                return rows
            if min(index.min(), category.min()) < 0:
                raise IndexError
        except IndexError:
            raise StoreError(
                "index and category must be whole numbers, 1-d, of one length, from 0 and below "
                f"{images} and {classes}; got {index} and {category}"
            ) from None
        k = int(np.flatnonzero(rows < 0)[0])
        raise StoreError(
            f"image {self.pairs.ids[index[k]]!r} has no tag {self.pairs.classes[category[k]]!r}"
            ", so it has no such cumulative map; pass present classes only"
        )
