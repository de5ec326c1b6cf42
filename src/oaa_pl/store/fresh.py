"""New folders and new stores: made whole, or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oaa_pl.errors import OaaError, StoreError
from oaa_pl.files.lock import WriterLock
from oaa_pl.store.files import sync_folder
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore

__all__ = ["clear_maps", "new_folder", "new_store"]


@contextmanager
def new_store(path: Path, header: Header, pairs: Pairs) -> Iterator[MemmapStore]:
    """A new store, committed at the end of the block; an error in the block leaves none.

    Args:
        path: of the new store; absent or empty.
        header: what the maps mean.
        pairs: the present (image, class) pairs.

    Raises:
        StoreError: if the path holds anything, or cannot be written.
    """
    with new_folder(path) as folder, MemmapStore(folder, header, pairs) as store:
        yield store
        store.commit()


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A new folder, filled in the block under a hidden name beside it, and renamed at its end.

    An error in the block leaves nothing, and what a killed process left is removed the next time.

    Args:
        path: of the new folder; absent or empty.

    Raises:
        StoreError: if the path holds anything, is just being made, or cannot be written.
    """
    final = path.resolve()
    making = final.with_name(f".{final.name}.partial")
    try:
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise StoreError(f"{path} already holds something; choose a new folder, or remove it")
        if (lock := making / "writer.lock").is_file():
            WriterLock(lock).release()  # refuses if a living process holds it
    except OaaError:
        raise
    except OSError as error:
        raise StoreError(_explained(path, error)) from error
    try:
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        yield making
        making.rename(final)
        sync_folder(final.parent)
    except BaseException as error:
        shutil.rmtree(making, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, OaaError):
            raise StoreError(_explained(path, error)) from error
        raise


def _explained(path: Path, error: OSError) -> str:
    reason = error.strerror or error
    return f"{path} cannot be made ({reason}); free disk space, or choose another"


def clear_maps(folder: Path) -> None:
    """Remove what a classifier accumulated that never came to a checkpoint.

    Args:
        folder: of the maps. It is renamed first, so that a kill cannot leave half a store in it.

    Raises:
        StoreError: if another process is writing it.
    """
    if (lock := folder / "store" / "writer.lock").is_file():
        WriterLock(lock).release()
    doomed = folder.with_name(f".{folder.name}.dropped")
    shutil.rmtree(doomed, ignore_errors=True)  # of a killed process
    with suppress(FileNotFoundError):
        folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
