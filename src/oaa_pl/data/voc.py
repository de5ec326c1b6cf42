"""Folders in the layout of PASCAL VOC 2012; tags from masks, annotations or a tag file.

Source: Everingham et al., IJCV 2015, for the layout.
"""

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from oaa_pl.data.annotation import tags_from_annotation
from oaa_pl.data.box_files import BoxFiles
from oaa_pl.data.boxed_source import BoxedSource, BoxRules
from oaa_pl.data.photo_files import NamedFiles, image_id
from oaa_pl.data.subset import draw_fraction
from oaa_pl.data.tags import TagRow, read_tag_file, tags_from_mask, to_labels
from oaa_pl.data.voc_folder import find_voc, listed, read_ids
from oaa_pl.errors import (
    BadTagFileError,
    ConfigError,
    MissingImageError,
    MissingSplitError,
    OaaError,
    UntaggedImageError,
)
from oaa_pl.files.home import expanded_path
from oaa_pl.names import as_classes, class_fault, same_text

__all__ = ["VOC_CLASSES", "VocSource"]

log = logging.getLogger(__name__)

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip

_TAGS = ("masks", "annotations", "file", "none")


class VocSource(BoxedSource):
    """One split of a folder in VOC layout.

    Reads `ImageSets/Segmentation/<split>.txt` and `JPEGImages/<id>.jpg`. Masks are opened only for
    tags (`tags="masks"`) and for evaluation. With other tags, the mask folder may be missing.

    Args:
        root: the folder that holds `JPEGImages` and `ImageSets`, or one that holds it as
            `VOCdevkit/VOC2012` or `VOC2012`.
        split: name of a list of ids, e.g. "train".
        tags: where the tags come from: "masks", "annotations" (`Annotations/<id>.xml`, objects
            marked difficult included), "file" (`tag_file`) or "none". Use "none" for the official
            test split, whose tags are unknown: it can be segmented, not trained on or scored.
        tag_file: for tags="file", see `oaa_pl.data.tags.read_tag_file`; may list more images.
        classes: names in the order of their ids in the masks; None: VOC's twenty.
        fraction: share of the split's images that is used, in (0, 1]; Table 3.
        fraction_seed: seed of the draw; a smaller share is part of a larger one.
        mask_folder: below `root`; for train_aug often "SegmentationClassAug".
        name: of the data set, in results.
        box_path: boxes for scores of localisation: a folder of XML or a CSV, see
            `oaa_pl.data.box_files`; None: `Annotations`, if it has sound boxes of every image.
            Boxes of classes that an image is not tagged with are left out.

    Raises:
        ConfigError: if `tags` or `fraction` is not one of these values, or class names are
            invalid: see `oaa_pl.names`.
        MissingSplitError: if the list does not exist.
        EmptySplitError: if the list is empty.
        BadListError: if the list is not text, or a line is not an image of `JPEGImages`.
        MissingImageError: if a listed photo does not exist.
        BadImageError: if a photo is empty or in an unknown format.
        UntaggedImageError: if an image has no tag.
        UnknownClassError: if a tag is not in `classes`.
        BadTagFileError: if the tag file or an annotation cannot be read, or the tag file has two
            rows for one image.
        MissingInputError: if `box_path` is given and does not exist.
        MissingMaskError: for tags="masks", if an image has no mask.
        BadMaskError: for tags="masks", if a mask's size or its ids are wrong.
    """

    some_hidden = True  # objects that are marked difficult
    box_rules = BoxRules(first=1, only_tagged=True)  # a mask may hide an object

    def __init__(
        self,
        root: str | Path,
        split: str,
        tags: str = "masks",
        tag_file: str | Path | None = None,
        classes: Iterable[Any] | None = None,
        fraction: float = 1.0,
        fraction_seed: int = 0,
        mask_folder: str = "SegmentationClass",
        name: str = "voc12",
        box_path: str | Path | None = None,
    ) -> None:
        root = find_voc(Path(root)) or expanded_path(root)
        names = as_classes(classes) or VOC_CLASSES
        if fault := class_fault(names):
            raise ConfigError(f"data.classes: {fault}")  # before an error about a tag
        if tags not in _TAGS:
            raise ConfigError(f"tags must be one of {', '.join(_TAGS)}, got {tags!r}")
        ids = draw_fraction(_read_split(root, split), fraction, fraction_seed)
        photos = _photos(root, split, ids)
        masks = _files(root / mask_folder, ids, ".png")
        if tags == "masks":
            with ThreadPoolExecutor() as pool:  # other threads run while a PNG is read
                found = list(pool.map(partial(tags_from_mask, classes=names), masks, photos))
        elif tags == "annotations":
            paths = _files(root / "Annotations", ids, ".xml")
            found = [tags_from_annotation(path, names) for path in paths]
        elif tags == "file":
            found = _tags_from_file(tag_file, ids, names)
        else:
            found = [()] * len(ids)
        labels = to_labels(found, names)
        # A split without tags may be in the folder of a split with masks.
        has_masks = (root / mask_folder).is_dir() and (tags != "none" or masks[0].is_file())
        super().__init__(
            name, split, names, ids, labels, photos, masks if has_masks else None,
            tagged=tags != "none",
        )  # fmt: skip
        self._boxes_given = box_path is not None
        if box_path is not None:
            self.box_files = BoxFiles(expanded_path(box_path))
        elif tags != "none" and (root / "Annotations").is_dir():
            self.box_files = BoxFiles(root / "Annotations")

    @cached_property
    def has_boxes(self) -> bool:  # opens every XML, once
        """Whether `boxes` can be called: for the default path, whether all are sound."""
        if self.box_files is None or self._boxes_given:
            return self.box_files is not None
        try:
            found = [self.boxes(index) for index in range(len(self.ids))]
        except OaaError as error:
            log.warning("%s/%s has no scores with boxes: %s", self.name, self.split, error)
            return False
        return any(found)


def _read_split(root: Path, split: str) -> list[str]:
    path = listed(root, split)
    try:
        return read_ids(path)
    except FileNotFoundError:
        others = ", ".join(sorted(p.stem for p in path.parent.glob("*.txt"))) or "none"
        makes = "; 'oaa data' fetches VOC 2012 and makes train_aug" if split == "train_aug" else ""
        raise MissingSplitError(
            f"{path} does not exist (splits found there: {others}): set data.root to a folder in "
            f"VOC layout and the split to one of its lists{makes}"
        ) from None


def _photos(root: Path, split: str, ids: Sequence[str]) -> list[Path]:
    files = NamedFiles(root / "JPEGImages")
    photos = []
    for name in ids:
        found = files.find(name)
        if found is None:
            like = files.like(name)
            hint = f"write {Path(like).stem!r}, which is there," if like else "add it"
            raise MissingImageError(
                f"{files.folder / name}.jpg does not exist but split {split!r} lists {name!r}: "
                f"{hint} or take it off the list"
            )
        photos.append(found.path)
    return photos


def _files(folder: Path, ids: Sequence[str], suffix: str) -> list[Path]:
    """Path of each id's file, which may be missing."""
    files = NamedFiles(folder, (suffix,))
    found = ((name, files.find(f"{name}{suffix}")) for name in ids)
    return [folder / f"{name}{suffix}" if file is None else file.path for name, file in found]


def _tags_from_file(
    tag_file: str | Path | None, ids: Sequence[str], classes: Sequence[str]
) -> list[tuple[str, ...]]:
    if tag_file is None:
        raise ConfigError("tags='file' needs the path of a tag file, got none: set tag_file")
    wanted, rows = {same_text(name) for name in ids}, dict[str, TagRow]()
    for row in read_tag_file(Path(tag_file), classes):
        name = same_text(image_id(Path(row.image).name))
        if name in wanted and name in rows:
            raise BadTagFileError(
                f"{tag_file}:{row.line}: image {row.image!r} has the id {name!r} of line "
                f"{rows[name].line} ({rows[name].image!r}): keep one row"
            )
        rows[name] = row
    bare = [name for name in ids if same_text(name) not in rows]
    if bare:
        raise UntaggedImageError(
            f"{tag_file} has no row for image {bare[0]!r} ({len(bare)} such): add one or take the "
            "image off the split"
        )
    return [rows[same_text(name)].tags for name in ids]
