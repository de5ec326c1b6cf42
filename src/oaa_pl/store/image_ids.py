"""Image ids in one block of memory: a data set of millions has no text of Python for each.

Shapes: N images.
"""

import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from oaa_pl.errors import StoreError
from oaa_pl.store.files import blocks

__all__ = ["ImageIds", "texts"]


class ImageIds(Sequence[str]):
    """The ids of N images, in the data set's order. Equal to any list of the same texts.

    An id takes its bytes in UTF-8 and 16 bytes more. It is found by its CRC-32; ids that share one
    are compared.

    Args:
        ids: a list, an array or a generator of texts.

    Raises:
        StoreError: if it is one text, no list, or not all of it are texts.

    Examples:
        >>> ids = ImageIds(["a", "b"])
        >>> ids[1], ids.index("b"), "c" in ids
        ('b', 1, False)
    """

    def __init__(self, ids: Iterable[Any]) -> None:
        self._bytes, ends = bytearray(), array("q", [0])
        for one in _texts("ids", ids):
            self._bytes += _encoded(one)
            ends.append(len(self._bytes))
        self._ends: NDArray[np.int64] = np.frombuffer(ends, np.int64)

    @override
    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    @override
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        places = range(len(self))[place]  # as any sequence counts: from the end, and by steps
        if isinstance(places, range):
            return tuple(self[one] for one in places)
        return self._of(places).decode("utf-8", "surrogatepass")

    @override
    def __iter__(self) -> Iterator[str]:
        return (one.decode("utf-8", "surrogatepass") for one in self._each())

    @override
    def __contains__(self, one: object) -> bool:
        return isinstance(one, str) and self._place(one) is not None

    @override
    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The place of an id, 0..N-1, among the places of `range(start, stop)`.

        Raises:
            ValueError: if it is not there.
        """
        place = self._place(value) if isinstance(value, str) else None
        if place is None or place not in range(len(self))[start:stop]:
            raise ValueError(f"{value!r} is not among the {len(self)} image ids")
        return place

    @override
    def __eq__(self, other: object) -> bool:
        if isinstance(other, ImageIds):
            return self._bytes == other._bytes and np.array_equal(self._ends, other._ends)
        if not isinstance(other, list | tuple):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list, which it may equal, has none

    @override
    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"ImageIds([{shown}{', ...' if len(self) > 3 else ''}])"

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("_bytes", "_ends")}

    def repeated(self) -> str | None:
        """The first id that comes again, or None."""
        known, order = self._by_checksum
        again = np.flatnonzero(known[1:] == known[:-1])
        seen: dict[bytes, int] = {}
        repeats: list[int] = []
        for place in np.unique(order[np.concatenate([again, again + 1])]).tolist():
            first = seen.setdefault(bytes(self._of(place)), place)
            if first != place:
                repeats.append(first)
        return self[min(repeats)] if repeats else None

    def _of(self, place: int) -> bytearray:
        return self._bytes[self._ends[place] : self._ends[place + 1]]

    def _each(self) -> Iterator[bytearray]:
        for part in blocks(len(self), row_bytes=1 << 10):
            ends = self._ends[part.start : part.stop + 1].tolist()  # numbers of Python are faster
            yield from (self._bytes[start:end] for start, end in pairwise(ends))

    @cached_property
    def _by_checksum(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """The ids' checksums, ascending, and their places."""
        count = len(self)
        checksums = np.fromiter(map(_checksum, self._each()), np.uint32, count)
        order = np.argsort(checksums, kind="stable").astype(np.uint32)
        return checksums[order], order

    def _place(self, one: str) -> int | None:
        known, order = self._by_checksum
        encoded = _encoded(one)
        wanted = np.uint32(_checksum(encoded))
        first, end = (int(np.searchsorted(known, wanted, side)) for side in ("left", "right"))
        return next((n for n in order[first:end].tolist() if self._of(n) == encoded), None)


def texts(what: str, words: Iterable[Any]) -> tuple[str, ...]:
    """Names as plain texts, from any list, array or generator of texts.

    Raises:
        StoreError: if they are one text, no list, or not all of them texts.
    """
    return tuple(_texts(what, words))


def _texts(what: str, words: Iterable[Any]) -> Iterator[str]:
    if isinstance(words, str | bytes):
        raise StoreError(
            f"{what} must be a list of names, got the one text {words!r}: write a list"
        )
    try:
        found = iter(words)
    except TypeError as error:
        raise StoreError(f"{what} must be a list of names, got {words!r}") from error
    for word in found:
        if not isinstance(word, str):
            raise StoreError(
                f"{what} must be texts, got {word!r} ({type(word).__name__}): write str(...)"
            )
        yield str(word)  # those of numpy as well


def _encoded(one: str) -> bytes:
    return one.encode("utf-8", "surrogatepass")  # half letters are refused later


def _checksum(encoded: bytes | bytearray) -> int:
    return zlib.crc32(encoded)
