"""Read the maps of a store by name: an image by its id or place, a class by its name.

Shapes: N images, C foreground classes; h x w cells of the grid.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import NoSuchMapError
from oaa_pl.store.base import MapStore
from oaa_pl.store.key import category_named, image_named
from oaa_pl.store.layout import Header, Pairs

__all__ = ["MapRecord", "NamedMaps"]

_ORIGINS = ("none", "accepted", "fallback")


class MapRecord(NamedTuple):
    """What a store knows about the map of one (image, class) pair.

    Attributes:
        image: the image's id.
        category: the class's name.
        updates: how many accepted maps were fused into it.
        last_epoch: the epoch of the last change.
        origin: "accepted"; "fallback", if no map was ever accepted and a fallback was given; or
            "none", if there is no map yet.
    """

    image: str
    category: str
    updates: int
    last_epoch: int
    origin: str


class NamedMaps(ABC):
    """The cumulative maps of a data set, read by name.

    Args:
        header: what the maps mean.
        pairs: the present (image, class) pairs.
    """

    def __init__(self, header: Header, pairs: Pairs) -> None:
        self._header, self._pairs = header, pairs

    @abstractmethod
    def _maps(self) -> MapStore:
        """The store that the maps are read from."""

    @property
    def ids(self) -> Sequence[str]:
        """Names of the N images, in the data set's order."""
        return self._pairs.ids

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the C foreground classes."""
        return self._pairs.classes

    @property
    def grid(self) -> tuple[int, int]:
        """Cells (h, w) of every map."""
        return self._header.grid

    @property
    def fusion(self) -> str:
        """How maps are fused: "maximum", "running_mean" or another rule's label."""
        return self._header.fusion

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __contains__(self, image: object) -> bool:
        return image in self._pairs.ids

    @overload
    def __getitem__(self, key: tuple[int | str, str]) -> NDArray[np.float32]: ...
    @overload
    def __getitem__(self, key: int | str) -> dict[str, NDArray[np.float32]]: ...
    def __getitem__(
        self, key: int | str | tuple[int | str, str]
    ) -> NDArray[np.float32] | dict[str, NDArray[np.float32]]:
        """Read the cumulative maps of an image: by class name, or of the one class that is named.

        While this object writes, these are the maps so far; otherwise the last committed ones,
        whichever process committed them. A map that was never accepted is zero: see `missing`.

        Args:
            key: an image's place or id; or a tuple of that and a class name.

        Returns:
            Maps in [0, 1], (h, w): a dict with one map for each tag, or one map.

        Raises:
            NoSuchMapError: if there is no such image or class, or the image has no such tag.
            StoreError: if nothing was committed yet, or the folder is damaged.
        """
        if isinstance(key, tuple):
            if len(key) != 2:
                raise NoSuchMapError(
                    f"a key must be an image, or an image and a class name, got {key!r}"
                )
            image = image_named(self._pairs, key[0])
            category = category_named(self._pairs, image, key[1])
            one: NDArray[np.float32] = self._maps().dense(image)[category]
            return one
        categories, attention = self._maps().maps(image_named(self._pairs, key))
        names = [self.classes[category] for category in categories]
        return dict(zip(names, attention, strict=True))

    def keys(self) -> Sequence[str]:
        """The image ids, so that `dict(store)` reads every map."""
        return self.ids

    def records(self) -> Iterator[MapRecord]:
        """What is known about each map, image by image."""
        rows = self._maps().rows
        for (image, category), row in zip(self._pairs.pairs, rows, strict=True):
            updates, last_epoch, origin, _ = row.tolist()
            yield MapRecord(
                self.ids[image], self.classes[category], updates, last_epoch, _ORIGINS[origin]
            )

    def missing(self) -> list[tuple[str, str]]:
        """The (image id, class name) pairs with neither an accepted nor a fallback map."""
        return [(one.image, one.category) for one in self.records() if one.origin == "none"]
