"""The present (image, class) pairs of a data set: which rows a store has, and `images.txt`.

Versions 1 and 2 of a store differ in the lines of this file: see `store.image_lines`. Versions 3
and 4 are the same, of a store with a generation that rests on an older one: see `store.changes`.

Shapes: N images, C foreground classes, R rows (present pairs).
"""

import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import StoreError, StoreMismatchError
from oaa_pl.names import name_fault
from oaa_pl.store.image_ids import ImageIds, texts
from oaa_pl.store.image_lines import pieces, version_1_holds, words_of

__all__ = ["CHANGES", "VERSION", "Pairs"]

VERSION = 4
"""The newest format of a store that this package writes and reads."""

CHANGES = 2
"""What the version of a store grows by with its first generation that rests on an older one."""


@dataclass(frozen=True)
class Pairs:
    """The present (image, class) pairs of a data set, and the row of each.

    Args:
        ids: image ids, N of them, in the data set's order; a list, an array or a generator. Kept
            as `ImageIds`.
        classes: foreground class names, C of them; as `ids`.
        labels: whether the class is in the image, (N, C): truth values, or numbers that are 0 or
            1, in an array, nested lists or a tensor.

    Raises:
        StoreError: if the labels are not (N, C) or neither 0 nor 1, or an id or class name is no
            name (`oaa_pl.names`) or comes twice.
    """

    ids: Sequence[str]
    classes: tuple[str, ...]
    labels: NDArray[np.bool_]

    def __post_init__(self) -> None:
        ids = self.ids if isinstance(self.ids, ImageIds) else ImageIds(self.ids)
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "classes", texts("classes", self.classes))
        object.__setattr__(self, "labels", _truths(self.labels))
        expected = (len(self.ids), len(self.classes))
        if self.labels.shape != expected:
            raise StoreError(f"labels must be {expected} (N, C), got {self.labels.shape}")
        for word in chain(self.ids, self.classes):
            # What version 1 held must still open, be it a control character.
            if (fault := name_fault(word)) and not version_1_holds(word):
                raise StoreError(f"image ids and class names must be names: {word!r} {fault}")
        twice = ids.repeated()
        if twice is None and len(set(self.classes)) < len(self.classes):
            twice = Counter(self.classes).most_common(1)[0][0]
        if twice is not None:
            raise StoreError(f"image ids and class names must differ, got {twice!r} twice")

    @cached_property
    def version(self) -> int:
        """The store format that the names need: 2 if one of them has a blank, else 1."""
        return 1 if all(map(version_1_holds, chain(self.ids, self.classes))) else 2

    def place_of(self, image_id: str) -> int | None:
        """Place of an image in the data set, 0..N-1; None if there is no such image."""
        return self.ids.index(image_id) if image_id in self.ids else None

    @property
    def count(self) -> int:
        """How many rows there are: R."""
        return int(self.first_row[-1])

    @cached_property
    def first_row(self) -> NDArray[np.int64]:
        """First row of each image, and R at the end: (N + 1,)."""
        # Not the row of each pair, present or not: (N, C) large numbers would fill a memory.
        return np.concatenate([[0], np.cumsum(self.labels.sum(axis=1))])

    @cached_property
    def most_classes(self) -> int:
        """The largest number of classes that an image has."""
        return int(self.labels.sum(axis=1).max(initial=0))

    def rows_of(self, index: NDArray[np.int64], category: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of each pair, -1 where the class is absent.

        Args:
            index: images, 0..N-1, (K,).
            category: classes, 0..C-1, (K,).

        Returns:
            Rows, (K,).
        """
        place = self._places[index, category]
        rows: NDArray[np.int64] = self.first_row[index]
        rows += place
        rows -= 1
        np.putmask(rows, place == 0, -1)
        return rows

    @cached_property
    def _places(self) -> NDArray[np.unsignedinteger[Any]]:
        """Place of each class among those of its image, from 1; 0 where it is absent: (N, C)."""
        counts = np.cumsum(self.labels, axis=1, dtype=np.min_scalar_type(len(self.classes)))
        places: NDArray[np.unsignedinteger[Any]] = np.multiply(counts, self.labels, out=counts)
        return places

    @cached_property
    def pairs(self) -> NDArray[np.int64]:
        """(image index, class) of each row: (R, 2)."""
        return np.argwhere(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over ids, classes and labels: the same data set, whatever its folder."""
        # That of `json.dumps([self.classes, self.text()])`, without the whole text in memory.
        digest = sha256(f'[{json.dumps(self.classes)}, "'.encode())
        for piece in self._pieces():
            digest.update(json.dumps(piece)[1:-1].encode())
        digest.update(b'"]')
        return digest.hexdigest()

    def _pieces(self) -> Iterator[str]:
        return pieces(self.ids, self.classes, self.labels, self.version)

    def _lines(self) -> Iterator[str]:
        return (line for piece in self._pieces() for line in piece.split("\n")[:-1])

    def text(self) -> str:
        """The text of `images.txt`."""
        return "".join(self._pieces())

    def write(self, file: BinaryIO) -> None:
        """Write `images.txt`."""
        for piece in self._pieces():
            file.write(piece.encode())

    def has_text(self, content: bytes) -> bool:
        """Whether `images.txt` of these pairs has this content."""
        file = io.BytesIO(content)
        pieces = (piece.encode() for piece in self._pieces())
        return all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)

    @classmethod
    def parse(cls, content: bytes, classes: tuple[str, ...], path: Path, version: int = 1) -> Self:
        """Read `images.txt` back.

        Args:
            content: of the file.
            classes: foreground class names, as the header has them.
            path: of the file, for the message.
            version: of the store's format, as the header has it.

        Raises:
            StoreError: if a line names no id or an unknown class, then with file and line; or if
                the pairs are not valid, or would have been written in another version.
            UnicodeDecodeError: if it is not UTF-8.
        """
        of_names = version - CHANGES if version > CHANGES else version
        place = {name: c for c, name in enumerate(classes)}
        if content and not content.endswith(b"\n"):
            raise StoreError(f"{path} is damaged: its last line has no end; restore it")
        labels = np.zeros((content.count(b"\n"), len(classes)), dtype=bool)

        def ids() -> Iterator[str]:
            for n, end_and_all in enumerate(io.BytesIO(content)):
                line = end_and_all[:-1].decode()
                name, *present = words_of(line, of_names)
                if not name or not all(word in place for word in present):
                    raise StoreError(f"{path}:{n + 1}: not an image id and known classes: {line!r}")
                for word in present:
                    labels[n, place[word]] = True
                yield name

        found = ImageIds(ids())
        try:
            pairs = cls(found, classes, labels)
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from error
        if pairs.version != of_names:
            raise StoreError(
                f"{path} is of version {of_names}, its names are of version {pairs.version}: it is "
                "not as it was written; restore it"
            )
        return pairs

    def require_same(self, other: "Pairs", path: Path) -> None:
        """Refuse another data set's pairs, naming the first difference.

        Raises:
            StoreMismatchError: if classes, ids, their order or their labels differ.
        """
        if self.fingerprint == other.fingerprint:
            return
        if self.classes != other.classes:
            what = f"classes are {self.classes}, the data set's are {other.classes}"
        else:
            both = zip_longest(self._lines(), other._lines(), fillvalue="")
            n, mine, theirs = next((n, *two) for n, two in enumerate(both) if two[0] != two[1])
            here, there = mine or "nothing", theirs or "nothing"
            what = f"image {n} is {here!r}, the data set's is {there!r}"
        raise StoreMismatchError(
            f"{path} belongs to another data set: its {what}; give another store folder"
        )


def _truths(labels: Any) -> NDArray[np.bool_]:
    if hasattr(labels, "detach"):  # a tensor, perhaps on a GPU, perhaps of half precision
        labels = labels.detach().cpu()
        labels = (labels.float() if labels.is_floating_point() else labels).numpy()
    try:
        array = np.asarray(labels)
    except ValueError as error:
        raise StoreError(
            f"labels must be (N, C), got rows of different lengths: {error}"
        ) from error
    if array.dtype == bool:
        return array
    # Written so that NaN fails it too.
    if array.dtype.kind not in "iuf" or not ((array == 0) | (array == 1)).all():
        raise StoreError(
            f"labels must be 0 or 1 for each (image, class), got {array.dtype} with other values: "
            "write (scores > threshold) or labels == 1"
        )
    return array.astype(bool)
