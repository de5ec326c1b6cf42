"""The right to write a store's folder: taken by one process, and only where nothing gets lost."""

from pathlib import Path

from oaa_pl.errors import StoreError, StoreNotEmptyError
from oaa_pl.files.atomic import write_whole
from oaa_pl.files.lock import WriterLock
from oaa_pl.store.files import write_text
from oaa_pl.store.generation import committed, folder_of, mapped, sweep
from oaa_pl.store.layout import ORIGIN_NONE, ROW, Header, Pairs
from oaa_pl.store.reader import read_identity
from oaa_pl.store.seal import DAMAGE

__all__ = ["claim", "require_no_maps"]


def claim(path: Path, header: Header, pairs: Pairs) -> WriterLock:
    """Take the writer's lock, and make the folder or check that it is this store's.

    Args:
        path: the store's folder.
        header: what the maps mean.
        pairs: the present (image, class) pairs.

    Returns:
        The lock, held.

    Raises:
        StoreError: if the folder is another data set's or another rule's store, is in use, or
            cannot be written.
    """
    lock: WriterLock | None = None
    try:
        (path / "generations").mkdir(parents=True, exist_ok=True)
        (path / "live").mkdir(exist_ok=True)
        lock = WriterLock(path / "writer.lock")
        sweep(path)
        _require_or_begin(path, header, pairs)
    except OSError as error:
        if lock is not None:
            lock.release()
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{path} cannot be written ({error.strerror or error}); choose another run folder"
        ) from error
    return lock


def _require_or_begin(path: Path, header: Header, pairs: Pairs) -> None:
    if (path / "header.json").exists():
        found, its_pairs = read_identity(path, pairs)
        its_pairs.require_same(pairs, path)
        found.require_same(header, path)
    elif committed(path):
        raise StoreError(
            f"{path / 'header.json'} is missing, so it is unknown whose maps these are; "
            "restore it, or choose another run folder"
        )
    else:
        write_whole(path / "images.txt", pairs.write, durable=True, error=StoreError)
        write_text(path / "header.json", header.dump())  # last: it names a store


def require_no_maps(store: Path, count: int) -> None:
    """Refuse a store that a new training would empty.

    Args:
        store: the store's folder.
        count: rows R that the store must have.

    Raises:
        StoreNotEmptyError: if a generation holds a map, or cannot be read; the message names both
            ways out.
    """
    for generation in reversed(committed(store)):
        try:
            rows = mapped(folder_of(store, generation) / "rows.npy", ROW, (count,))
            maps = int((rows["origin"] != ORIGIN_NONE).sum())
        except DAMAGE:
            maps = -1  # unreadable is not empty
        if maps:
            found = f"{maps} committed maps" if maps > 0 else "committed maps that are damaged"
            raise StoreNotEmptyError(
                f"{store} holds {found} (generation {generation}). To add to them, resume the "
                "checkpoint that belongs to them (Trainer.fit(ckpt_path=...)), or in a loop of "
                "your own open the store with resume=True. To replace them, give "
                "overwrite=True"
            )
