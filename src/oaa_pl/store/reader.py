"""Read a store: what it is, and its maps as of one committed generation.

Shapes: R rows (present pairs), h x w cells of the grid.
"""

from pathlib import Path

from typing_extensions import override

from oaa_pl.errors import StoreError, first_few
from oaa_pl.store.base import MapStore
from oaa_pl.store.generation import committed, open_generation
from oaa_pl.store.layout import Header, Pairs

__all__ = ["StoreReader", "read_identity"]


def read_identity(path: Path, known: Pairs | None = None) -> tuple[Header, Pairs]:
    """Header and pairs of the store in a folder.

    Args:
        path: the store's folder.
        known: pairs that it may have. If it has them, they are what is returned: two stores of one
            data set need its names in memory once.

    Raises:
        StoreError: if the folder has no store, or it is damaged, or it cannot be read.
    """
    try:
        # As bytes: reading as text would take one kind of line end for another.
        text = (path / "header.json").read_bytes().decode()
        header = Header.parse(text, path / "header.json")
        images = (path / "images.txt").read_bytes()
        if known is not None and header.is_of(known) and known.has_text(images):
            return header, known
        pairs = Pairs.parse(images, header.classes, path / "images.txt", header.version)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(f"{path} holds no attention store; make one with 'oaa fit'") from error
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read ({error.strerror}); have its owner let you read it"
        ) from error
    except UnicodeDecodeError as error:
        raise StoreError(f"{path} is damaged: {error}; restore it") from error
    if pairs.fingerprint != header.fingerprint or not pairs.has_text(images):
        raise StoreError(f"{path / 'images.txt'} is damaged: it does not match the header")
    return header, pairs


class StoreReader(MapStore):
    """A read-only handle on a store's newest (or a given) generation.

    A generation never changes, so a reader never meets a half-written row. A handle may be
    pickled into workers; each maps the same pages.

    Args:
        path: the store's folder.
        generation: the generation to read; the newest if None.
        known: pairs that the store may have, see `read_identity`.

    Raises:
        StoreError: if there is no store or no committed generation, or it is damaged.
    """

    def __init__(
        self, path: Path, generation: int | None = None, *, known: Pairs | None = None
    ) -> None:
        self.path = path
        self.header, self.pairs = read_identity(path, known)
        if generation is None:
            self._open_newest()
        else:
            self.generation = generation
            self._open()

    def _open_newest(self) -> None:
        while True:
            try:
                known = committed(self.path)
            except OSError as error:
                raise StoreError(
                    f"{self.path} cannot be read ({error.strerror}); have its owner let you read it"
                ) from error
            if not known:
                raise StoreError(
                    f"{self.path} has no committed generation; let the training finish first"
                )
            self.generation = known[-1]
            try:
                return self._open()
            except StoreError:
                # A writer may have gone on, and dropped it, since the folder was listed.
                if self.generation in committed(self.path):
                    raise

    def _open(self) -> None:
        count = self.pairs.count
        self._hold(*open_generation(self.path, self.generation, self.header, count))

    def require_complete(self) -> None:
        """Refuse a store in which pairs have neither an accepted nor a fallback map.

        Raises:
            StoreError: if there are such pairs; the first few are named.
        """
        missing = self.missing()
        if not len(missing):
            return
        ids, classes = self.pairs.ids, self.pairs.classes
        pairs = [f"{ids[image]} {classes[category]}" for image, category in missing]
        raise StoreError(
            f"{self.path}: {len(missing)} of {self.pairs.count} (image, class) pairs have no "
            f"map: {first_few(pairs)}; let the stage that makes them run to its end"
        )

    @override
    def __getstate__(self) -> dict[str, object]:
        kept = ("path", "generation", "header", "pairs")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, kept: dict[str, object]) -> None:
        self.__dict__.update(kept)
        self._open()

    @override
    def commit(self) -> int:
        raise StoreError(f"{self.path} is open for reading; open a MemmapStore to write")

    @override
    def roll_back(self, generation: int) -> None:
        raise StoreError(f"{self.path} is open for reading; open a MemmapStore to write")

    @override
    def generations(self) -> list[int]:
        return committed(self.path)
