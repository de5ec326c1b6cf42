"""The attention store as most people use it: one object to accumulate into and to read from.

It keeps a `MemmapStore` while it writes, and opens a `StoreReader` to read; these can do more.

Shapes: N images, C foreground classes; h x w cells of the grid.
"""

import os
import weakref
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from typing_extensions import override

from oaa_pl.errors import StoreError
from oaa_pl.store.base import MapStore
from oaa_pl.store.generation import committed, seal_of
from oaa_pl.store.image_ids import ImageIds, texts
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.named_maps import NamedMaps
from oaa_pl.store.pending import Pending
from oaa_pl.store.reader import StoreReader, read_identity

__all__ = ["AttentionStore"]


class AttentionStore(NamedMaps):
    """The cumulative attention maps of a data set, in a folder: one per image and tag.

    Read a map with `store[0]`, `store["image-id"]` or `store["image-id", "cat"]`. Write with
    `accumulate(store, ...)` in a loop of your own, or with `AttentionAccumulation(store)` in
    Lightning. The folder is made by the first write.

    A folder that holds maps can always be read. Nothing in it is lost by accident: the first write
    is refused unless you give `resume` or `overwrite`, or Lightning resumes a checkpoint.

    Args:
        path: the store's folder.
        ids: names of the N images, in the data set's order.
        classes: names of the C foreground classes, in the order of the score map's channels.
        labels: whether the class is in the image, (N, C): truth values, or numbers 0 and 1.
        grid: cells (h, w) of every map.
        fusion: how maps are fused: the label of a rule, see `attention.fusion.fusion_named`.
        resume: add to the maps that the folder holds.
        overwrite: start with no maps. What the folder holds is replaced by the first commit.

    Raises:
        StoreError: if the labels are not (N, C) of 0 and 1, a name is given twice, the grid or the
            fusion is not one, the folder is damaged, or both `resume` and `overwrite` are given.
        StoreMismatchError: if the folder holds the store of another data set, grid or fusion.

    Examples:
        >>> store = AttentionStore("maps", ["a", "b"], ["cat", "dog"], [[1, 0], [1, 1]])
        >>> len(store), list(store), store.grid
        (2, ['a', 'b'], (32, 32))
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        ids: Iterable[str],
        classes: Iterable[str],
        labels: Any,
        *,
        grid: tuple[int, int] = (32, 32),
        fusion: str = "maximum",
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        pairs = Pairs(ImageIds(ids), texts("classes", classes), labels)
        header = Header(pairs.classes, pairs.fingerprint, grid, fusion)
        folder = Path(path)
        if (folder / "header.json").exists():
            found, its_pairs = read_identity(folder)
            its_pairs.require_same(pairs, folder)
            # What this object does not ask for stays as it is recorded: the gate, for example.
            asked = replace(found, grid=header.grid, fusion=header.fusion)
            found.require_same(asked, folder)
            header = found
        if resume and overwrite:
            raise StoreError(
                "resume continues from the maps that overwrite drops; give one of them"
            )
        self._begin(folder, header, pairs, resume=resume, overwrite=overwrite)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, resume: bool = False) -> Self:
        """Open the store in a folder, whatever data set it belongs to.

        Args:
            path: the store's folder.
            resume: let this object add to the maps; without it they are read only.

        Raises:
            StoreError: if there is no store, or it is damaged.
        """
        store = cls.__new__(cls)
        store._begin(Path(path), *read_identity(Path(path)), resume=resume, overwrite=False)
        return store

    def _begin(
        self, path: Path, header: Header, pairs: Pairs, *, resume: bool, overwrite: bool
    ) -> None:
        super().__init__(header, pairs)
        self.path = path
        self._resume, self._overwrite = resume, overwrite
        self._goes_on = False  # whether this object has committed, so that it may continue
        self._writer: MemmapStore | None = None
        self._reader: StoreReader | None = None
        self._read: tuple[int, str] | None = None  # generation and seal of the reader
        self._pending = Pending(path)
        weakref.finalize(self, self._pending.warn_of_loss)

    @override
    def _maps(self) -> MapStore:
        # The store to read from: the open writer, else the newest commit on disk.
        if self._writer is not None:
            return self._writer
        numbers = committed(self.path)
        if not numbers:
            raise StoreError(
                f"{self.path} holds no committed maps yet; accumulate into it, then call commit()"
            )
        try:
            # With its seal: after a roll back another commit may bear the same number.
            newest = numbers[-1], seal_of(self.path, numbers[-1])
        except StoreError:  # a writer dropped it just now, or it is damaged: the reader finds out
            newest = numbers[-1], ""
        if self._reader is None or self._read != newest:
            reader = StoreReader(self.path)
            reader.pairs.require_same(self._pairs, self.path)
            reader.header.require_same(self._header, self.path)
            self._reader, self._read = reader, newest
        return self._reader

    def writer(self) -> MemmapStore:
        """The store that this object writes; opened, and the folder made, by the first call.

        Raises:
            StoreNotEmptyError: if the folder holds maps, and neither `resume` nor `overwrite` was
                given. Nothing is lost.
            StoreError: if another process writes the folder, or it cannot be written.
        """
        if self._writer is None:
            resume = self._resume or self._goes_on
            self._writer = MemmapStore(
                self.path, self._header, self._pairs, resume=resume,
                overwrite=self._overwrite and not resume,
            )  # fmt: skip
        self._pending.maps = True
        return self._writer

    def open_writer(
        self, rank: int = 0, world_size: int = 1, *, overwrite: bool = False
    ) -> MemmapStore:
        """A writer for one of several processes; `AttentionAccumulation` calls this.

        Args:
            rank: this process's number.
            world_size: number of processes that accumulate.
            overwrite: start with no maps, or with those of a checkpoint that is resumed.

        Raises:
            StoreNotEmptyError: as `writer`.
            StoreError: as `writer`.
        """
        overwrite = overwrite or self._overwrite
        return MemmapStore(
            self.path, self._header, self._pairs, rank, world_size,
            resume=self._resume and not overwrite, overwrite=overwrite,
        )  # fmt: skip

    def commit(self) -> int:
        """Save the maps so far, so that a crash cannot lose them; call it after every epoch.

        Returns:
            The commit's number. Keep it with your own checkpoint: `roll_back` returns to it.

        Raises:
            StoreNotEmptyError: as `writer`.
            StoreError: if the disk is full or the folder cannot be written.
        """
        generation = self.writer().commit()
        self._pending.maps, self._goes_on = False, True
        return generation

    def roll_back(self, generation: int) -> None:
        """Return to the maps of an earlier commit, and drop the later ones.

        The last two commits are kept. 0 is the empty store.

        Args:
            generation: what `commit` returned.

        Raises:
            StoreNotEmptyError: as `writer`.
            StoreError: if there is no such commit, or it is damaged.
        """
        self.writer().roll_back(generation)
        self._pending.maps, self._goes_on = False, True

    def close(self) -> None:
        """Commit what is not committed yet, and let others write. Reading stays possible.

        Raises:
            StoreError: if the commit fails; the store then stays open.
        """
        if self._pending.maps:
            self.commit()
        self._release()

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._pending.maps = None, False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        # After an error the last commit stays the newest: it belongs to the last checkpoint.
        self._pending.warn_of_loss()
        self._release()

    @override
    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process opens the folder for itself.
        names = ("path", "_header", "_pairs", "_resume", "_overwrite")
        return {name.strip("_"): getattr(self, name) for name in names}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self._begin(**kept)

    @override
    def __repr__(self) -> str:
        return (
            f"AttentionStore({str(self.path)!r}: {len(self)} images, {len(self.classes)} classes, "
            f"grid {self.grid}, {self.fusion})"
        )
