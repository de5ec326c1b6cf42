"""Data sets in the format of COCO: tags and masks from one annotation file.

Conventions: a class of an image is one with any object in it, a crowd region included. In a mask, a
crowd region is ignored (255) where no single object is; where objects overlap, a pixel belongs to
the smaller one; an object without a segmentation gives a tag alone. Images without any object are
left out, and counted in `unused`. The true boxes of a class, for scores of localisation, are those
of its single objects; a crowd region has none.

Source: Lin et al., Microsoft COCO, ECCV 2014. Masks are drawn by pycocotools, the extra `coco`.

Shapes: N images, C foreground classes, H x W pixels of a photo.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from oaa_pl.data.coco_boxes import boxes_in
from oaa_pl.data.coco_json import Coco, CocoObject, read_coco
from oaa_pl.data.coco_masks import draw_mask, mask_coder
from oaa_pl.data.photo_files import NamedFiles, image_id
from oaa_pl.data.source import FileSource
from oaa_pl.data.tag_rows import class_named
from oaa_pl.errors import (
    BadMaskError,
    ConfigError,
    EmptySplitError,
    MissingImageError,
    MissingInputError,
)
from oaa_pl.files.home import expanded_path
from oaa_pl.files.image import read_header
from oaa_pl.names import as_classes, class_fault

__all__ = [
    "CocoSource",
    "annotations_of",
    "photos_of",
    "require_size",
    "validation_source",
    "without_photo",
]

log = logging.getLogger(__name__)


class CocoSource(FileSource):
    """One split of a data set in COCO's format.

    Attributes:
        unused: number of images of the file without any object.

    Args:
        root: folder of the data set: `annotations/instances_<split>.json`, photos in `<split>/`.
        split: such as "train2017".
        annotation_file: another annotation file; None: the one of `root`.
        photo_folder: another folder of photos; None: `<root>/<split>`, or `root`.
        classes: names in the order of their ids in masks; None: all of the file, in its order.
        name: of the data set, in results.

    Raises:
        ConfigError: if pycocotools is not installed, or class names are invalid.
        BadTagFileError: if the annotation file does not exist or has a fault.
        UnknownClassError: if it has a class that is not in `classes`.
        EmptySplitError: if no image has an object.
        MissingImageError: if a photo does not exist.
        BadImageError: if a photo is empty or in an unknown format.
    """

    masks_are_files = False

    def __init__(
        self,
        root: str | Path,
        split: str,
        annotation_file: str | Path | None = None,
        photo_folder: str | Path | None = None,
        classes: Iterable[Any] | None = None,
        name: str = "coco",
    ) -> None:
        mask_coder()  # or it would be missed at the first mask
        path, folder = (
            annotations_of(root, split, annotation_file),
            photos_of(root, split, photo_folder),
        )
        given = as_classes(classes)
        if given is not None and (fault := class_fault(given)):
            raise ConfigError(f"data.classes: {fault}")
        coco = read_coco(path)
        names = given or coco.classes
        shown = [image for image in coco.files if coco.objects[image]]
        if not shown:
            raise EmptySplitError(f"{path} has no image with an object: give another split")
        self.unused = len(coco.files) - len(shown)
        if self.unused:
            log.info("%s: %d images without objects are left out", path, self.unused)
        self._objects = [_renumbered(coco, image, names, path) for image in shown]
        self._sizes = [coco.sizes[image] for image in shown]
        self._annotations = path
        labels = np.zeros((len(shown), len(names)), np.uint8)
        for row, objects in zip(labels, self._objects, strict=True):
            row[[one.category for one in objects]] = 1
        ids, paths = _photos(coco, shown, folder, path)
        super().__init__(name, split, names, ids, labels, paths)
        self.has_masks = True
        single = [one for objects in self._objects for one in objects if not one.crowd]
        self.has_boxes = bool(single) and all(one.box is not None for one in single)

    def boxes(self, index: int) -> dict[int, NDArray[np.int64]]:
        """The true boxes of an image, of its single objects.

        Args:
            index: in 0..N-1.

        Returns:
            Each class 0..C-1 that has boxes to its boxes (x0, y0, x1, y1), ends included, (N, 4).

        Raises:
            MissingInputError: if the annotation file lacks boxes.
            BadTagFileError: if a box leaves its image.
            BadMaskError: if the photo has another size than the annotation file says.
        """
        if not self.has_boxes:
            raise MissingInputError(f"{self._annotations} has objects without bbox: add them")
        self.check_mask_size(index)
        return boxes_in(self._objects[index], self._sizes[index], str(self._annotations))

    @override
    def check_mask_size(self, index: int) -> None:
        require_size(self._annotations, self.ids[index], self._sizes[index], self._photos[index])

    @override
    def mask(self, index: int) -> NDArray[np.uint8]:
        self.check_mask_size(index)
        return draw_mask(self._objects[index], self._sizes[index])


def validation_source(
    root: str | Path,
    split: str | None,
    annotation_file: str | Path | None = None,
    photo_folder: str | Path | None = None,
    classes: Iterable[Any] | None = None,
    name: str = "coco",
) -> CocoSource | None:
    """The split to validate on; None without one. Arguments as of `CocoSource`.

    Args:
        root: folder of the data set.
        split: such as "val2017"; None: no validation.
        annotation_file: another annotation file.
        photo_folder: another folder of photos.
        classes: of the training source.
        name: of the data set, in results.
    """
    return (
        None
        if split is None
        else CocoSource(root, split, annotation_file, photo_folder, classes, name)
    )


def require_size(annotations: Path, image: str, size: tuple[int, int], photo: Path) -> None:
    """Refuse an image of another size than its photo.

    Args:
        annotations: the annotation file, for the message.
        image: its id, for the message.
        size: (H, W) in the annotation file.
        photo: its file.

    Raises:
        BadMaskError: if the sizes differ.
    """
    found = read_header(photo).size
    if found != size:
        raise BadMaskError(
            f"{annotations}: image {image!r} is {size[1]} x {size[0]} px, but its photo is "
            f"{found[1]} x {found[0]} px: use the photos that were annotated"
        )


def without_photo(annotations: Path, image: int, file: str, folder: Path) -> str:
    """What is wrong with an image whose photo does not exist.

    Args:
        annotations: the annotation file.
        image: its id in it.
        file: the photo's name in it.
        folder: of the photos.
    """
    return (
        f"{annotations}: image {image}: no photo {file!r} in {folder}: add it, or take it off "
        "`images`"
    )


def annotations_of(root: str | Path, split: str, given: str | Path | None) -> Path:
    """The annotation file of a split; arguments as of `CocoSource`."""
    own = expanded_path(root) / "annotations" / f"instances_{split}.json"
    return own if given is None else expanded_path(given)


def photos_of(root: str | Path, split: str, given: str | Path | None) -> Path:
    """The folder of a split's photos; arguments as of `CocoSource`."""
    if given is not None:
        return expanded_path(given)
    own = expanded_path(root) / split
    return own if own.is_dir() else expanded_path(root)


def _renumbered(coco: Coco, image: int, names: Sequence[str], path: Path) -> list[CocoObject]:
    """An image's objects with the numbers of the given classes."""
    if tuple(names) == coco.classes:
        return coco.objects[image]
    return [
        one._replace(
            category=names.index(class_named(coco.classes[one.category], names, str(path)))
        )
        for one in coco.objects[image]
    ]


def _used(coco: Coco, image: int) -> list[str]:
    """Names of an image's classes, each once."""
    return list(dict.fromkeys(coco.classes[one.category] for one in coco.objects[image]))


def _photos(
    coco: Coco, shown: Sequence[int], folder: Path, path: Path
) -> tuple[list[str], list[Path]]:
    if not folder.is_dir():
        raise MissingImageError(f"{folder} is not a folder: give data.root, or data.photo_folder")
    files = NamedFiles(folder)
    ids, paths = [], []
    for image in shown:
        found = files.find(coco.files[image])
        if found is None:
            raise MissingImageError(without_photo(path, image, coco.files[image], folder))
        ids.append(image_id(found.name))
        paths.append(found.path)
    return ids, paths
