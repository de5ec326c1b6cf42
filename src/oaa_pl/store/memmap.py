"""The accumulation store on disk: memory-mapped, crash-safe, one shard per process.

Every rank accumulates into its own preallocated live map. A commit gathers the shards into an
immutable generation; the live maps are scratch, and are rebuilt from a generation when a run
resumes. So a crash at any instant costs what came after the last commit, and nothing else: the
checkpoint that names the generation repeats exactly that part.

Shapes: R rows (present pairs), h x w cells of the grid.
"""

import os
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from oaa_pl.errors import StoreError, StoreMismatchError
from oaa_pl.files.lock import WriterLock
from oaa_pl.store.base import MapStore
from oaa_pl.store.changes import Since
from oaa_pl.store.claim import claim, require_no_maps
from oaa_pl.store.generation import committed, drop, open_generation, seal_of, write_generation
from oaa_pl.store.layout import ROW, Header, Pairs
from oaa_pl.store.live import clear_live, load_shard, map_live, save_shard
from oaa_pl.store.pages import at_random, in_order

__all__ = ["MemmapStore"]


class MemmapStore(MapStore):
    """The writer's handle on a store folder.

    A folder without committed maps is begun. One that holds maps is only opened by who says what
    shall become of them: `resume` or `overwrite`.

    Args:
        path: the store's folder.
        header: what the maps mean.
        pairs: the present (image, class) pairs.
        rank: this process's number; rank 0 alone commits.
        world_size: number of processes that accumulate.
        keep: newest generations to keep, beside the ones that a commit is given as needed. Two, so
            that the checkpoint on disk keeps the one it names while the next is being written.
        resume: continue from the newest generation; from nothing if there are no generations.
        overwrite: start from nothing. The first commit replaces what the folder holds: until then
            nothing is lost, and `roll_back` can still go back to any of it.

    Attributes:
        opened_at: the generation that `resume` continues from; 0 if it starts from nothing.
        replaces: whether the first commit is still to replace what the folder holds.

    Raises:
        StoreNotEmptyError: if the folder holds maps, and neither `resume` nor `overwrite` is given.
        StoreError: if the folder is another data set's or another rule's store, is in use, or
            cannot be written; or if both `resume` and `overwrite` are given.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        pairs: Pairs,
        rank: int = 0,
        world_size: int = 1,
        keep: int = 2,
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        if resume and overwrite:
            raise StoreError(
                "resume continues from the maps that overwrite drops; give one of them"
            )
        if not 0 <= rank < world_size:
            raise StoreError(f"rank must be in 0..{world_size - 1} (world_size - 1), got {rank}")
        if header.fingerprint != pairs.fingerprint:
            raise StoreError("header.fingerprint must be that of the pairs; take pairs.fingerprint")
        self.path, self.pairs = path, pairs
        self.header = replace(header, version=pairs.version)
        self.rank, self.world_size, self.keep = rank, world_size, keep
        self.replaces = overwrite  # until the first commit, or a roll back
        self.opened_at = 0
        self._lock: WriterLock | None = None
        self._process = os.getpid()
        count = pairs.count
        self._since = 0  # the generation that the live maps come from
        self._changed = np.zeros(count, bool)  # rows that have changed since
        try:
            if rank == 0:
                self._lock = claim(path, self.header, pairs)
            if not (resume or overwrite):
                require_no_maps(path, count)  # on every rank, so that they refuse together
            live = map_live(path, rank, header.state_shape(count), header.rule.dtype)
            at_random(live)
            self._hold(live, np.zeros(count, ROW))
            if resume:
                self.opened_at = max(self.generations(), default=0)
            if rank == 0 and self.opened_at:
                # What is committed is what the store holds: a commit must never lose it.
                self.replace(*open_generation(path, self.opened_at, header, count))
            self._begin_from(self.opened_at)
        except StoreError:
            self.close()
            raise

    @override
    def _changes(self, rows: NDArray[np.int64] | slice) -> None:
        self._changed[rows] = True

    def _begin_from(self, generation: int) -> None:
        self._since = generation
        self._changed[:] = False
        # A rule that is `in_order` has to know which of two shards came later.
        ordered = self.header.rule.in_order
        self._earlier = self.rows["updates"].copy() if ordered else None

    @override
    def commit(
        self, barrier: Callable[[], None] | None = None, needed: Collection[int] = ()
    ) -> int:
        """Gather every rank's shard into a new generation; all ranks must call it.

        Args:
            barrier: waits for all ranks; needed when there is more than one.
            needed: older generations that must stay, because a checkpoint names them.

        Returns:
            The new generation's number, the same on every rank.

        Raises:
            StoreError: if the disk is full or the folder cannot be written.
        """
        self._require_own_process()
        if self.world_size > 1 and barrier is None:
            raise StoreError("commit needs the strategy's barrier when world_size is above 1")
        generation = max(self.generations(), default=0) + 1
        wait = barrier or (lambda: None)
        if self.rank > 0:
            changed = np.flatnonzero(self._changed)
            save_shard(self.path, self.rank, changed, self.state, self.rows)
        wait()  # every shard is on disk
        if self.rank == 0:
            for rank in range(1, self.world_size):
                state, rows, at = load_shard(self.path, rank)
                self.absorb(state, rows, at, None if self._earlier is None else self._earlier[at])
            since = Since(self._since, np.flatnonzero(self._changed)) if self._since else None
            with in_order(self._state):
                sealed = write_generation(self.path, generation, self.state, self.rows, since)
            self._rows["checksum"] = sealed["checksum"]
            self._begin_from(generation)
            keep = 1 if self.replaces else self.keep
            for old in self.generations()[:-keep]:
                if old not in needed:
                    drop(self.path, old)
        self.replaces = False
        wait()  # the generation is in place
        if self.rank > 0:
            # What this rank held now lives in rank 0: it starts again from nothing.
            self._state[changed], self._rows[changed] = 0, 0
            self._begin_from(0)
        return generation

    @override
    def roll_back(
        self, generation: int, seal: str | None = None, needed: Collection[int] = ()
    ) -> None:
        """Return to a committed generation; later ones are dropped. 0 is the empty store.

        Args:
            generation: its number.
            seal: what `seal` returned when it was committed; not compared if None.
            needed: later generations that must stay, because a checkpoint names them.

        Raises:
            StoreError: if there is no such generation, or it is damaged.
            StoreMismatchError: if it is another one of the same number. The store is unchanged.
        """
        self._require_own_process()
        if generation:  # on every rank, so that they refuse together; and damage comes first
            state, rows = open_generation(self.path, generation, self.header, len(self.rows))
        if seal is not None and self.seal(generation) != seal:
            raise StoreMismatchError(
                f"{self.path} has another generation {generation} than the checkpoint names: a "
                "later run has rolled back and made it again; resume from that run's checkpoint, "
                "or start a new run"
            )
        if self.rank > 0 or generation == 0:
            self._state[:], self._rows[:] = 0, 0
            self._begin_from(0)
        else:
            self.replace(state, rows)
            self._begin_from(generation)
        if self.rank == 0:
            for newer in self.generations():
                if newer > generation and newer not in needed:
                    drop(self.path, newer)
        self.replaces = False

    def seal(self, generation: int) -> str:
        """What tells a committed generation from another of the same number; "" for the empty one.

        Raises:
            StoreError: if there is no such generation.
        """
        return seal_of(self.path, generation) if generation else ""

    @override
    def generations(self) -> list[int]:
        return committed(self.path)

    def close(self) -> None:
        """Give up the right to write, and the live maps; what was committed stays."""
        self._hold(np.zeros(0), np.zeros(0, ROW))
        if self._lock is not None and self._process == os.getpid():
            self._lock.release()
            clear_live(self.path)
            self._lock = None

    def _require_own_process(self) -> None:
        if self._process != os.getpid():
            raise StoreError(
                f"{self.path} was opened for writing by another process, of which this is a fork; "
                "read it with StoreReader"
            )

    @override
    def __getstate__(self) -> dict[str, object]:
        raise StoreError(
            f"{self.path} has one writer, which cannot be pickled for another process; pass "
            "StoreReader(path), or open the store there"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
