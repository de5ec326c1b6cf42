"""Data sets whose true boxes are in files, which only scores of localisation need.

Shapes: N boxes of one class; a box is (x0, y0, x1, y1) in pixels of the photo, ends included.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.box_files import BoxFiles, NamedBox, box_faults
from oaa_pl.data.photo_files import image_id
from oaa_pl.data.source import FileSource
from oaa_pl.data.tag_rows import class_named
from oaa_pl.errors import (
    BadTagFileError,
    MissingInputError,
    OaaError,
    UnknownClassError,
    first_few,
)
from oaa_pl.files.image import read_header
from oaa_pl.names import same_text

__all__ = ["BoxRules", "BoxedSource", "Photo", "listed_box_faults", "unused_boxes"]


class BoxRules(NamedTuple):
    """How a layout's boxes are read.

    Attributes:
        first: number of the first pixel in the files.
        only_tagged: whether boxes of other classes than the image's tags are left out; otherwise
            they are faults.
        sized: whether the size that an XML declares must be the photo's.
    """

    first: int = 0
    only_tagged: bool = False
    sized: bool = True


class Photo(NamedTuple):
    """A photo that may have boxes: its id, its file, the names of its classes."""

    name: str
    path: Path
    tags: Sequence[str]


class BoxedSource(FileSource):
    """A data set that may have boxes in files: `box_files`, None if it has none."""

    box_files: BoxFiles | None = None
    box_rules = BoxRules()

    @property
    def has_boxes(self) -> bool:
        """Whether `boxes` can be called."""
        return self.box_files is not None

    @cached_property
    def _namesakes(self) -> Counter[str]:
        return _namesakes(self._photos)

    def boxes(self, index: int) -> dict[int, NDArray[np.int64]]:
        """The true boxes of an image.

        Args:
            index: in 0..N-1.

        Returns:
            Each class 0..C-1 that has boxes to its boxes (x0, y0, x1, y1), (N, 4).

        Raises:
            MissingInputError: if the data set has no boxes.
            BadTagFileError: if the image has none, one cannot be read, leaves its photo, or is of
                another class than the image.
        """
        if self.box_files is None:
            raise MissingInputError(f"{self.name}/{self.split} has no boxes: give data.box_path")
        tags = [self.classes[c] for c in np.flatnonzero(self.labels[index])]
        photo = Photo(self.ids[index], self.photo_path(index), tags)
        found = self.box_files.of(photo.path, photo.name, _alone(photo, self._namesakes))
        named, faults = _by_class(found, photo, self.classes, self.box_rules)
        if faults:
            raise BadTagFileError(faults[0])
        first = self.box_rules.first
        return {
            self.classes.index(name): (np.array([box.ends for box in boxes]) - first).clip(min=0)
            for name, boxes in named.items()
        }


def listed_box_faults(
    files: BoxFiles, photos: Sequence[Photo], classes: Sequence[str], rules: BoxRules
) -> Iterator[str]:
    """Every fault of the boxes of a data set, one line each.

    Args:
        files: the boxes.
        photos: all of the data set.
        classes: names of the C foreground classes.
        rules: of the layout.
    """
    if not files.path.is_dir():
        yield from files.table.faults
    namesakes = _namesakes([photo.path for photo in photos])
    for photo in photos:
        try:
            found = files.find(photo.path, photo.name, _alone(photo, namesakes))
            yield from _by_class(found, photo, classes, rules)[1]
        except OaaError as error:
            yield str(error)


def unused_boxes(files: BoxFiles, photos: Sequence[Photo]) -> Iterator[str]:
    """Lines of a CSV whose images are not in the data set, as one line."""
    if files.path.is_dir():
        return
    known = {same_text(name) for photo in photos for name in (photo.name, _own_name(photo.path))}
    # A line that cannot be read has no boxes.
    extra = [
        name for name, boxes in files.table.boxes.items()
        if boxes and not {same_text(name), same_text(name.rpartition("__")[2])} & known
    ]  # fmt: skip
    if extra:
        yield (
            f"{files.path} has boxes of {len(extra)} images that have no photo "
            f"({first_few(extra)}): add the photos, or remove the lines"
        )


def _own_name(path: Path) -> str:
    return image_id(path.name)


def _namesakes(photos: Sequence[Path]) -> Counter[str]:
    """How many photos of all folders have each name."""
    return Counter(same_text(_own_name(path)) for path in photos)


def _alone(photo: Photo, namesakes: Counter[str]) -> bool:
    return namesakes[same_text(_own_name(photo.path))] == 1


def _by_class(
    boxes: Sequence[NamedBox], photo: Photo, classes: Sequence[str], rules: BoxRules
) -> tuple[dict[str, list[NamedBox]], list[str]]:
    """The boxes of each class of a photo, and all that is wrong with them."""
    found: dict[str, list[NamedBox]] = defaultdict(list)
    faults = []
    tags = ", ".join(map(repr, photo.tags)) or "no class"
    for box in boxes:
        name = box.category
        if not name and len(photo.tags) != 1:
            faults.append(
                f"{box.where}: a box has no class, and its image is of {tags}: write the class "
                "behind its four numbers"
            )
            continue
        try:
            name = class_named(name, classes, box.where) if name else photo.tags[0]
        except UnknownClassError as error:
            faults.append(str(error))
            continue
        if name in photo.tags:
            found[name].append(box)
        elif not rules.only_tagged:
            faults.append(
                f"{box.where}: a box is of {name!r}, but its image is of {tags}: correct the box, "
                "or the image's tags"
            )
    size = read_header(photo.path).size
    faults += box_faults(boxes, size, rules.sized)
    return found, faults
