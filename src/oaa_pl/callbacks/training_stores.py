"""The stores that a training writes, and what its checkpoints name of them.

Every process of a training has them; only rank 0 drops generations.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from oaa_pl.callbacks.generations import GENERATIONS, NamedGenerations, RecordedIO
from oaa_pl.callbacks.lightning import Trainer
from oaa_pl.errors import ConfigError
from oaa_pl.store.attention_store import AttentionStore
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.writer_thread import WriterThread

__all__ = ["Named", "StoreOpener", "Stores", "TrainingStores", "openers_of"]

# Generation and seal; of the empty store 0 and "".
Named = tuple[int, str]


class StoreOpener(Protocol):
    """Opens a store for writing, as `partial(MemmapStore, path, header, pairs)` does."""

    def __call__(self, rank: int, world_size: int, *, overwrite: bool) -> MemmapStore:
        """Open the store for one process."""


Stores = AttentionStore | StoreOpener | Mapping[str, AttentionStore | StoreOpener]
"""What a training accumulates into: one store, or several by name."""


class TrainingStores:
    """Opens, commits and closes the stores of one training.

    Args:
        openers: what opens each store, by its name.

    Attributes:
        opened: the open stores, by name; empty before and after the training.
        committed: what a checkpoint written now names, by store; None where that is not known in
            this process.
        writer: a thread that may write the stores beside the training.
    """

    def __init__(self, openers: Mapping[str, StoreOpener]) -> None:
        self.openers = dict(openers)
        self.opened: dict[str, MemmapStore] = {}
        self.committed: dict[str, Named] | None = None
        self.writer = WriterThread()
        self._named: dict[str, NamedGenerations] = {}

    def open(self, trainer: Trainer, *, overwrite: bool, goes_on: bool) -> None:
        """Open every store: as committed if the training continues, else empty.

        Args:
            trainer: of the training.
            overwrite: start without maps where a store holds some.
            goes_on: whether the training continues from what `committed` names.

        Raises:
            StoreNotEmptyError: if a store holds maps, and nothing says what shall become of them.
            StoreError: if a store cannot be opened; none is open then.
        """
        self.writer = WriterThread()  # of this process
        try:
            # One shard per rank: a shared map would lose updates, and a barrier per batch is slow.
            for name, opener in self.openers.items():
                self.opened[name] = store = opener(
                    trainer.global_rank, trainer.world_size, overwrite=overwrite or goes_on
                )
                self._named[name] = NamedGenerations(name, store.path)
            if goes_on and self.committed is not None:
                self._go_back(trainer, self.committed)
            else:
                self.committed = {
                    name: (store.opened_at, store.seal(store.opened_at))
                    for name, store in self.opened.items()
                }
        except BaseException:
            self.close()
            raise
        if trainer.is_global_zero:
            # The trainer tells which file names what. An earlier `fit` may have asked it already.
            io = trainer.strategy.checkpoint_io
            inner = io.inner if isinstance(io, RecordedIO) else io
            trainer.strategy.checkpoint_io = RecordedIO(inner, self._named)  # type: ignore[assignment]  # as good as one

    def _go_back(self, trainer: Trainer, committed: Mapping[str, Named]) -> None:
        for name, store in self.opened.items():
            needed: set[int] = set()
            if trainer.is_global_zero:
                if trainer.ckpt_path:
                    self._named[name].written(committed[name][0], str(trainer.ckpt_path))
                needed = self._named[name].needed(_checkpoint_folders(trainer))
            store.roll_back(*committed[name], needed)

    @property
    def replace_others(self) -> bool:
        """Whether a first commit is still to drop the maps that the training overwrites."""
        return any(store.replaces for store in self.opened.values())

    def drained(self) -> dict[str, MemmapStore]:
        """The open stores, by name, once all maps so far are written.

        Raises:
            StoreError: if the thread could not write some of them.
        """
        self.writer.drain()
        return self.opened

    def commit(self, trainer: Trainer) -> None:
        """Commit every store; each process of the training must come here.

        Raises:
            StoreError: if the maps cannot be written. No store has a new commit then.
        """
        self.writer.drain()
        folders = _checkpoint_folders(trainer)
        committed = {}
        for name, store in self.opened.items():
            needed: set[int] = set()
            if trainer.is_global_zero:  # it alone drops generations, so it alone has to know
                if store.replaces:  # and with the old maps, what their checkpoints name
                    self._named[name].clear()
                else:
                    needed = self._named[name].needed(folders)
            generation = store.commit(trainer.strategy.barrier, needed)
            committed[name] = generation, store.seal(generation)
        self.committed = committed

    def name_in(self, trainer: Trainer, checkpoint: dict[str, Any], *, whole: bool) -> None:
        """Write the committed generations into a checkpoint.

        Args:
            trainer: of the training.
            checkpoint: about to be written.
            whole: whether all that the training accumulated is committed; else it names nothing.
        """
        if self.committed is None or not whole:
            checkpoint[GENERATIONS] = dict.fromkeys(self.openers)
            return
        checkpoint[GENERATIONS] = {name: list(named) for name, named in self.committed.items()}
        if trainer.is_global_zero:
            for name, named in self._named.items():
                named.writing(self.committed[name][0])

    def close(self) -> None:
        """Close every store; what was committed stays."""
        self.writer.stop()
        for store in self.opened.values():
            store.close()
        self.opened = {}


def openers_of(given: Stores) -> dict[str, StoreOpener]:
    """What opens each store, by the store's name.

    Args:
        given: stores, or what opens them, by name; or a single one, which is named "maps".

    Raises:
        ConfigError: if one is neither an `AttentionStore` nor a function that opens a store.
    """
    named: Mapping[str, Any] = given if isinstance(given, Mapping) else {"maps": given}
    openers: dict[str, StoreOpener] = {}
    for name, one in named.items():
        opener = one.open_writer if isinstance(one, AttentionStore) else one
        if not callable(opener):
            raise ConfigError(
                f"store {name!r} must be an AttentionStore, got {type(one).__name__}; give "
                "AttentionStore(path, ids, classes, labels): each process that trains opens it"
            )
        openers[name] = opener
    return openers


def _checkpoint_folders(trainer: Trainer) -> set[Path]:
    """Folders of a training's checkpoints, also of the ones that no store's record has yet."""
    # Not by class: both packages of Lightning have one of their own.
    named = [getattr(callback, "dirpath", None) for callback in trainer.callbacks]  # type: ignore[attr-defined]  # a plain attribute
    folders = {Path(folder) for folder in named if folder}
    return folders | ({Path(trainer.ckpt_path).parent} if trainer.ckpt_path else set())
