r"""The present (image, class) pairs of a data set: which rows a store has, and `images.txt`.

    version 1, 3    a\b dog cat                      where no name has a blank, as of old
    version 2, 4    ["my photo", "dog", "my cat"]    JSON; where some name has one

Versions 3 and 4 are of a store with a generation that rests on an older one: see `store.changes`.

Shapes: N images, C foreground classes, R rows (present pairs).
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import StoreError, StoreMismatchError
from oaa_pl.names import name_fault

__all__ = ["CHANGES", "VERSION", "Pairs", "texts"]

VERSION = 4
"""The newest format of a store that this package writes and reads."""

CHANGES = 2
"""What the version of a store grows by with its first generation that rests on an older one."""


@dataclass(frozen=True)
class Pairs:
    """The present (image, class) pairs of a data set, and the row of each.

    Args:
        ids: image ids, N of them, in the data set's order; a list, an array or a generator.
        classes: foreground class names, C of them; as `ids`.
        labels: whether the class is in the image, (N, C): truth values, or numbers that are 0 or
            1, in an array, nested lists or a tensor.

    Raises:
        StoreError: if the labels are not (N, C) or neither 0 nor 1, or an id or class name is no
            name (`oaa_pl.names`) or comes twice.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.bool_]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", texts("ids", self.ids))
        object.__setattr__(self, "classes", texts("classes", self.classes))
        object.__setattr__(self, "labels", _truths(self.labels))
        expected = (len(self.ids), len(self.classes))
        if self.labels.shape != expected:
            raise StoreError(f"labels must be {expected} (N, C), got {self.labels.shape}")
        for word in (*self.ids, *self.classes):
            # What version 1 held must still open, be it a control character.
            if (fault := name_fault(word)) and not _version_1_holds(word):
                raise StoreError(f"image ids and class names must be names: {word!r} {fault}")
        for words in (self.ids, self.classes):
            if len(set(words)) < len(words):
                twice = Counter(words).most_common(1)[0][0]
                raise StoreError(f"image ids and class names must differ, got {twice!r} twice")

    @cached_property
    def version(self) -> int:
        """The store format that the names need: 2 if one of them has a blank, else 1."""
        return 1 if all(map(_version_1_holds, (*self.ids, *self.classes))) else 2

    @cached_property
    def place_of(self) -> dict[str, int]:
        """Place in the data set, 0..N-1, by image id."""
        return {name: place for place, name in enumerate(self.ids)}

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
        return sha256(json.dumps([self.classes, self.text()]).encode()).hexdigest()

    def text(self) -> str:
        """The lines of `images.txt`."""
        rows = (
            [name, *(self.classes[c] for c in np.flatnonzero(present))]
            for name, present in zip(self.ids, self.labels, strict=True)
        )
        if self.version == 1:
            return "".join(" ".join(row) + "\n" for row in rows)
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

    @classmethod
    def parse(cls, text: str, classes: tuple[str, ...], path: Path, version: int = 1) -> Self:
        """Read `images.txt` back.

        Args:
            text: of the file.
            classes: foreground class names, as the header has them.
            path: of the file, for the message.
            version: of the store's format, as the header has it.

        Raises:
            StoreError: if a line names no id or an unknown class, then with file and line; or if
                the pairs are not valid, or would have been written in another version.
        """
        of_names = version - CHANGES if version > CHANGES else version
        place = {name: c for c, name in enumerate(classes)}
        lines = text.split("\n")
        if lines.pop():
            raise StoreError(f"{path} is damaged: its last line has no end; restore it")
        labels = np.zeros((len(lines), len(classes)), dtype=bool)
        ids: list[str] = []
        for n, line in enumerate(lines):
            name, *present = _json_words(line) if of_names == 2 else line.split(" ")
            if not name or not all(word in place for word in present):
                raise StoreError(f"{path}:{n + 1}: not an image id and known classes: {line!r}")
            ids.append(name)
            labels[n, [place[word] for word in present]] = True
        try:
            pairs = cls(tuple(ids), classes, labels)
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
            mine, theirs = self.text().splitlines(), other.text().splitlines()
            n = next(
                (n for n, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b),
                min(len(mine), len(theirs)),
            )
            here, there = (rows[n] if n < len(rows) else "nothing" for rows in (mine, theirs))
            what = f"image {n} is {here!r}, the data set's is {there!r}"
        raise StoreMismatchError(
            f"{path} belongs to another data set: its {what}; give another store folder"
        )


def texts(what: str, words: Iterable[Any]) -> tuple[str, ...]:
    """Names as plain texts, from any list, array or generator of texts.

    Raises:
        StoreError: if they are one text, no list, or not all of them texts.
    """
    if isinstance(words, str | bytes):
        raise StoreError(
            f"{what} must be a list of names, got the one text {words!r}: write a list"
        )
    try:
        found = tuple(words)
    except TypeError as error:
        raise StoreError(f"{what} must be a list of names, got {words!r}") from error
    for word in found:
        if not isinstance(word, str):
            raise StoreError(
                f"{what} must be texts, got {word!r} ({type(word).__name__}): write str(...)"
            )
    return tuple(str(word) for word in found)  # those of numpy as well


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


def _version_1_holds(word: str) -> bool:
    """Whether a line of words between blanks can hold a name, in UTF-8."""
    return word.split() == [word] and not any("\ud800" <= letter <= "\udfff" for letter in word)


def _json_words(line: str) -> list[str]:
    """The texts of a line of version 2; an empty id if it is another line."""
    try:
        words = json.loads(line)
    except (ValueError, RecursionError):
        return [""]
    good = isinstance(words, list) and words and all(isinstance(word, str) for word in words)
    return words if good else [""]
