"""ImageNet's layout: one folder a class, named by its WordNet id; boxes for localisation scores.

    <root>/<split>/<wnid>/<photo>.JPEG          as torchvision has it
    <root>/[ILSVRC/]Data/CLS-LOC/<split>/...    as published; also without folders of classes, if
                                                LOC_<split>_solution.csv has the classes
    <root>/[ILSVRC/]Annotations/CLS-LOC/<split> boxes, or LOC_<split>_solution.csv

Source: Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015.

Label maps have 8 bits, so that at most 254 of the 1000 classes are used: name them in `classes`.

Shapes: N images, C foreground classes.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from oaa_pl.data.box_files import BoxFiles
from oaa_pl.data.boxed_source import BoxedSource, BoxRules
from oaa_pl.data.folder import find_mask
from oaa_pl.data.photo_files import Found, NamedFiles, image_id, list_photos
from oaa_pl.data.tags import to_labels
from oaa_pl.errors import (
    BadTagFileError,
    ConfigError,
    EmptySplitError,
    MissingSplitError,
    UnknownClassError,
    first_few,
)
from oaa_pl.files.home import expanded_path
from oaa_pl.names import as_classes, class_fault

__all__ = [
    "ImagenetSource",
    "TaggedPhoto",
    "box_files_of",
    "tagged_photos",
    "validation_source",
]

log = logging.getLogger(__name__)


class TaggedPhoto(NamedTuple):
    """A photo below the folder of a split, and the class that its folder or the CSV gives."""

    name: str
    path: Path
    category: str


class ImagenetSource(BoxedSource):
    """One split in ImageNet's layout.

    Args:
        root: the data set's folder, see above.
        split: such as "train" or "val".
        classes: folders that are classes, in the order of their ids; None: all, sorted.
        box_path: a folder of XML or a CSV, see `oaa_pl.data.box_files`; None: the published place.
        mask_folder: true masks `<id>.png`, for evaluation only; None: no masks.
        name: of the data set, in results.

    Raises:
        ConfigError: if class names are invalid, or there are more than 254.
        MissingSplitError: if the folder of the split does not exist.
        UnknownClassError: if one of `classes` has no photo.
        EmptySplitError: if there is no photo.
        BadTagFileError: if photos have no class.
        MissingInputError: if `box_path` is given and does not exist.
        BadImageError: if a photo is empty or in an unknown format.
    """

    box_rules = BoxRules(sized=False)  # some of the published sizes are wrong

    def __init__(
        self,
        root: str | Path,
        split: str,
        classes: Iterable[Any] | None = None,
        box_path: str | Path | None = None,
        mask_folder: str | Path | None = None,
        name: str = "imagenet",
    ) -> None:
        given = as_classes(classes)
        if given is not None and (fault := class_fault(given)):
            raise ConfigError(f"data.classes: {fault}")
        folder, photos = tagged_photos(root, split)
        chosen = given or tuple(sorted({photo.category for photo in photos}))
        kept = [photo for photo in photos if photo.category in set(chosen)]
        empty = sorted(set(chosen) - {photo.category for photo in kept})
        if given is not None and empty:
            raise UnknownClassError(
                f"data.classes: {first_few(empty)} has no photo in {folder}: correct the name"
            )
        if len(kept) < len(photos):
            log.info("%s: %d photos of other classes are left out", folder, len(photos) - len(kept))
        if fault := class_fault(chosen):
            raise ConfigError(f"{folder}: {fault} (data.classes=[...])")
        ids = [image_id(photo.name) for photo in kept]
        self.box_files = box_files_of(root, split, box_path)
        masks = None
        if mask_folder is not None:
            files = NamedFiles(expanded_path(mask_folder), (".png",))
            masks = [
                find_mask(files, one, Found(photo.path, photo.name))
                for one, photo in zip(ids, kept, strict=True)
            ]
        labels = to_labels([[photo.category] for photo in kept], chosen)
        super().__init__(name, split, chosen, ids, labels, [one.path for one in kept], masks)


def validation_source(
    root: str | Path,
    split: str | None,
    classes: Iterable[Any] | None = None,
    box_path: str | Path | None = None,
    mask_folder: str | Path | None = None,
    name: str = "imagenet",
) -> ImagenetSource | None:
    """The split to validate on; None without one. Arguments as of `ImagenetSource`.

    Args:
        root: the data set's folder.
        split: such as "val"; None: no validation.
        classes: of the training source.
        box_path: a folder of XML or a CSV.
        mask_folder: true masks.
        name: of the data set, in results.
    """
    return (
        None if split is None else ImagenetSource(root, split, classes, box_path, mask_folder, name)
    )


def tagged_photos(root: str | Path, split: str) -> tuple[Path, list[TaggedPhoto]]:
    """The folder of a split, and its photos with their classes.

    Args:
        root: the data set's folder.
        split: such as "val".

    Raises:
        MissingSplitError: if the folder of the split does not exist.
        EmptySplitError: if it has no photo.
        BadTagFileError: if photos have no class.
    """
    base = expanded_path(root)
    places = [base / part / split for part in ("", "Data/CLS-LOC", "ILSVRC/Data/CLS-LOC")]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise MissingSplitError(
            f"{places[0]} does not exist, nor Data/CLS-LOC/{split} in {base}: set data.root to the "
            "folder that has the split"
        )
    photos = list_photos(folder)
    if not photos:
        raise EmptySplitError(f"{folder} has no photo: make one subfolder of photos for each class")
    flat = [path for path in photos if path.parent == folder]
    named = {}
    if flat:
        solution = _solution(base, split)
        if solution is None:
            raise BadTagFileError(
                f"{folder} has {len(flat)} photos outside of a folder, so that they have no class "
                f"({flat[0].name}): move them, or add LOC_{split}_solution.csv"
            )
        table = BoxFiles(solution).table
        if table.faults:
            raise BadTagFileError(table.faults[0])
        named = {name: boxes[0].category for name, boxes in table.boxes.items()}
    found = []
    for path in photos:
        name = path.relative_to(folder).as_posix()
        if path.parent != folder:
            found.append(TaggedPhoto(name, path, Path(name).parts[0]))
        elif image_id(path.name) in named:
            found.append(TaggedPhoto(name, path, named[image_id(path.name)]))
        else:
            raise BadTagFileError(f"{solution} has no line of the photo {path}: add it")
    return folder, found


def box_files_of(root: str | Path, split: str, given: str | Path | None) -> BoxFiles | None:
    """The boxes of a split; None if it has no boxes. Arguments as of `ImagenetSource`."""
    if given is not None:
        return BoxFiles(expanded_path(given))
    base = expanded_path(root)
    for part in ("Annotations/CLS-LOC", "ILSVRC/Annotations/CLS-LOC"):
        if (base / part / split).is_dir():
            return BoxFiles(base / part / split)
    solution = _solution(base, split)
    return None if solution is None else BoxFiles(solution)


def _solution(base: Path, split: str) -> Path | None:
    path = base / f"LOC_{split}_solution.csv"
    return path if path.is_file() else None
