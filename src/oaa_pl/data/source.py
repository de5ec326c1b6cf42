"""The interface of every data set: photos, tags and, if there are any, masks.

Shapes: N images, C foreground classes, H x W pixels of a photo.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.images import check_mask, photo_size, read_mask, read_photo
from oaa_pl.data.masks import check_size, read_mask_header
from oaa_pl.data.tagged_masks import check_tagged
from oaa_pl.data.tones import say_scaled
from oaa_pl.errors import (
    ConfigError,
    EmptySplitError,
    MissingMaskError,
    UntaggedImageError,
)
from oaa_pl.files.image import read_header
from oaa_pl.names import class_fault, file_fault

__all__ = ["FileSource", "Source", "fingerprint"]


@runtime_checkable
class Source(Protocol):
    """A list of tagged photos. `index` is an image's position in this list, in all code.

    Attributes:
        name: of the data set, for results and run folders: "voc12", "synthetic", ...
        split: of the data set.
        classes: names of the C foreground classes, in the order of their ids.
        ids: one per image, unique and safe as a file name, N.
        labels: the tags, 1 where the class is in the image, (N, C) uint8. No row is all zero,
            except in a split without known tags.
        has_masks: whether `mask` can be called.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    labels: NDArray[np.uint8]
    has_masks: bool

    def photo(self, index: int) -> NDArray[np.uint8]:
        """The photo as upright RGB, (H, W, 3) uint8; raises `BadImageError`."""
        ...

    def mask(self, index: int) -> NDArray[np.uint8]:
        """The true mask, (H, W) uint8 in {0..C, 255}, for evaluation only.

        Raises `MissingMaskError` and `BadMaskError`.
        """
        ...

    def photo_path(self, index: int) -> Path:
        """The photo's file."""
        ...


class FileSource:
    """A `Source` whose photos and masks are files. Checks them once, before training starts.

    Reads every photo's header (0.3 ms each). Damage after the header is found when the photo is
    decoded.

    Args:
        name: of the data set.
        split: of the data set.
        classes: names of the C foreground classes.
        ids: one per image, N.
        labels: tags in {0, 1}, (N, C).
        photos: one path per image, N.
        masks: one path per image, N; checked when `mask` is called. None: no masks.
        tagged: whether every image must have a tag.

    Raises:
        EmptySplitError: if there is no image.
        ConfigError: if an id appears twice or cannot be a file name, or class names are invalid:
            see `oaa_pl.names`.
        UntaggedImageError: if a row of `labels` is all zero.
        MissingImageError: if a photo has no file.
        BadImageError: if a photo is empty or in an unknown format.
    """

    some_hidden = False
    """Whether masks may have 255 on objects of tagged classes."""

    masks_are_files = True
    """Whether each mask is a file: `mask_path`. Otherwise `mask` draws it."""

    def __init__(
        self,
        name: str,
        split: str,
        classes: Sequence[str],
        ids: Sequence[str],
        labels: NDArray[np.uint8],
        photos: Sequence[Path],
        masks: Sequence[Path] | None = None,
        tagged: bool = True,
    ) -> None:
        self.name = name
        self.split = split
        self.classes = tuple(classes)
        self.ids = tuple(ids)
        self.labels = labels
        self.has_masks = masks is not None
        self._photos = tuple(photos)
        self._masks = tuple(masks or ())
        self._check(tagged)

    def _check(self, tagged: bool) -> None:
        where = f"split {self.split!r} of {self.name}"
        if not self.ids:
            raise EmptySplitError(f"{where} lists no image: choose another split or fill it")
        _refuse_twins(self.ids, f"{where} lists the image")
        for name in self.ids:
            if fault := file_fault(name):
                raise ConfigError(f"{where}: the image {name!r} {fault}: rename it")
        if fault := class_fault(self.classes):
            raise ConfigError(f"{where}: {fault}")
        bare = np.flatnonzero(self.labels.sum(axis=1) == 0)
        if tagged and len(bare):
            raise UntaggedImageError(
                f"{where}: image {self.ids[bare[0]]!r} has no tag ({len(bare)} such): tag it or "
                "take it off the list"
            )
        with ThreadPoolExecutor() as pool:  # mostly waits for the disk
            headers = list(pool.map(read_header, self._photos))
        deep = [path for path, header in zip(self._photos, headers, strict=True) if header.deep]
        if deep:
            say_scaled(where, len(deep), len(headers), deep[0])

    def photo(self, index: int) -> NDArray[np.uint8]:
        """The photo as upright RGB.

        Args:
            index: in 0..N-1.

        Returns:
            (H, W, 3) uint8.

        Raises:
            BadImageError: if the file is damaged.
        """
        return read_photo(self._photos[index])

    def mask(self, index: int) -> NDArray[np.uint8]:
        """The true mask, for evaluation only.

        Args:
            index: in 0..N-1.

        Returns:
            (H, W) uint8 in {0..C, 255}, of the photo's size.

        Raises:
            MissingMaskError: if the data set has no masks, or this mask is missing.
            BadMaskError: if its size or ids are wrong, or tagged classes have no ids in it.
        """
        path = self.mask_path(index)
        mask = read_mask(path)
        check_mask(mask, path, len(self.classes), photo_size(self._photos[index]))
        check_tagged(mask, path, self.classes, self.labels[index], self.some_hidden)
        return mask

    def check_mask_size(self, index: int) -> None:
        """Refuse a mask of another size than its photo, from their headers.

        Args:
            index: in 0..N-1.

        Raises:
            MissingMaskError: if there is no such mask.
            BadMaskError: if the sizes differ.
        """
        path = self.mask_path(index)
        check_size(read_mask_header(path).size, path, photo_size(self._photos[index]))

    def mask_path(self, index: int) -> Path:
        """The mask's file, which may be missing.

        Args:
            index: in 0..N-1.

        Raises:
            MissingMaskError: if the data set has no masks.
        """
        if not self.has_masks:
            raise MissingMaskError(
                f"split {self.split!r} of {self.name} has no masks, so image {self.ids[index]!r} "
                "cannot be evaluated: evaluate a split that has some"
            )
        return self._masks[index]

    def photo_path(self, index: int) -> Path:
        """The photo's file.

        Args:
            index: in 0..N-1.
        """
        return self._photos[index]


def fingerprint(source: Source) -> str:
    """A digest that changes with the classes, the images or their tags, to check stores.

    It does not include the split's name: the same list under another name is the same data.

    Args:
        source: any data set.

    Returns:
        SHA-256 as 64 hexadecimal digits.
    """
    # JSON, because a plain join would make ("ab", "c") and ("a", "bc") equal.
    header = json.dumps([list(source.classes), list(source.ids)], ensure_ascii=False)
    digest = hashlib.sha256(header.encode())
    digest.update(np.ascontiguousarray(source.labels, dtype=np.uint8).tobytes())
    return digest.hexdigest()


def _refuse_twins(names: tuple[str, ...], what: str) -> None:
    if len(set(names)) < len(names):
        name, times = Counter(names).most_common(1)[0]
        raise ConfigError(f"{what} {name!r} {times} times, expected once: remove the repeats")
