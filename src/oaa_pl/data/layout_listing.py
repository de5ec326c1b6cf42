"""List a data set in COCO's or ImageNet's layout with all of its faults, for `oaa data check`.

Shapes: N images, C foreground classes.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.box_files import BoxFiles
from oaa_pl.data.boxed_source import BoxRules, Photo, listed_box_faults, unused_boxes
from oaa_pl.data.coco import annotations_of, photos_of, require_size, without_photo
from oaa_pl.data.coco_boxes import outside
from oaa_pl.data.coco_json import Coco, examine, read_json
from oaa_pl.data.coco_masks import draw_mask
from oaa_pl.data.folder import find_mask
from oaa_pl.data.imagenet import ImagenetSource, box_files_of, tagged_photos
from oaa_pl.data.listing import Listed, Listing
from oaa_pl.data.photo_files import Found, NamedFiles, image_id
from oaa_pl.errors import OaaError, first_few
from oaa_pl.files.home import expanded_path
from oaa_pl.names import as_classes

__all__ = ["add_box_faults", "of_coco", "of_imagenet"]


def of_coco(
    root: str | Path,
    split: str,
    annotation_file: str | Path | None = None,
    photo_folder: str | Path | None = None,
    classes: Iterable[Any] | None = None,
    name: str = "coco",
    **_: Any,
) -> Listing:
    """The images of a `CocoSource`, from its arguments.

    Args:
        root: folder of the data set.
        split: such as "train2017".
        annotation_file: another annotation file.
        photo_folder: another folder of photos.
        classes: names of the classes; None: all of the file.
        name: of the data set.
    """
    path, folder = (
        annotations_of(root, split, annotation_file),
        photos_of(root, split, photo_folder),
    )
    given = as_classes(classes)
    listing = Listing(f"{name}/{split}", given or ())
    try:
        content = read_json(path)
    except OaaError as error:
        listing.faults.append(str(error))
        return listing
    listing.faults, coco = examine(content, path)
    if coco is None:
        return listing
    listing.classes, listing.folder = given or coco.classes, folder
    unknown = [one for one in coco.classes if one not in listing.classes]
    if unknown:
        listing.faults.append(
            f"{path} has classes that are not in data.classes: {first_few(unknown)}: add them"
        )
    files = NamedFiles(folder)
    unused = 0
    for image, file in coco.files.items():
        found = files.find(file)
        unused += not coco.objects[image]
        if found is None and coco.objects[image]:
            listing.faults.append(without_photo(path, image, file, folder))
        elif found is not None and coco.objects[image]:
            listing.images.append(_coco_image(coco, image, found, path, listing.classes))
            listing.faults += outside(coco.objects[image], coco.sizes[image], str(path))
        elif found is not None:
            listing.unused.append(found.path)
    if unused:
        listing.remarks.append(f"{path}: {unused} images without objects are left out")
    bare = sum(not one.shape for objects in coco.objects.values() for one in objects)
    if bare:
        listing.remarks.append(
            f"{path}: {bare} objects have no segmentation: tags, but no pixel of a mask"
        )
    return listing


def _coco_image(coco: Coco, image: int, found: Found, path: Path, classes: Sequence[str]) -> Listed:
    place = {c: classes.index(one) for c, one in enumerate(coco.classes) if one in classes}
    objects = [
        one._replace(category=place[one.category])
        for one in coco.objects[image]
        if one.category in place
    ]
    size, name = coco.sizes[image], image_id(found.name)

    def draw() -> NDArray[np.uint8]:
        require_size(path, name, size, found.path)
        return draw_mask(objects, size)

    tags = tuple(dict.fromkeys(classes[one.category] for one in objects))
    return Listed(name, found.path, tags, draw=draw)


def of_imagenet(
    root: str | Path,
    split: str,
    classes: Iterable[Any] | None = None,
    box_path: str | Path | None = None,
    mask_folder: str | Path | None = None,
    name: str = "imagenet",
    **_: Any,
) -> Listing:
    """The images of an `ImagenetSource`, from its arguments.

    Args:
        root: the data set's folder.
        split: such as "val".
        classes: folders that are classes; None: all.
        box_path: a folder of XML or a CSV.
        mask_folder: of true masks.
        name: of the data set.
    """
    given = as_classes(classes)
    listing = Listing(f"{name}/{split}", given or ())
    try:
        folder, photos = tagged_photos(root, split)
    except OaaError as error:
        listing.faults.append(str(error))
        return listing
    listing.classes = given or tuple(sorted({photo.category for photo in photos}))
    listing.folder = folder
    have = {photo.category for photo in photos}
    listing.faults += [
        f"data.classes: {one!r} has no photo in {folder}: correct the name"
        for one in listing.classes
        if one not in have
    ]
    folders = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    empty = [one for one in folders if one not in have]
    if empty:
        listing.remarks.append(f"{folder}: folders without a photo: {first_few(empty)}")
    kept = [photo for photo in photos if photo.category in listing.classes]
    listing.unused = [photo.path for photo in photos if photo.category not in listing.classes]
    if listing.unused:
        listing.remarks.append(
            f"{folder}: {len(listing.unused)} photos of other classes are left out"
        )
    masks = None if mask_folder is None else NamedFiles(expanded_path(mask_folder), (".png",))
    for photo in kept:
        own = image_id(photo.name)
        mask = None if masks is None else find_mask(masks, own, Found(photo.path, photo.name))
        listing.images.append(Listed(own, photo.path, (photo.category,), mask))
    try:
        files = box_files_of(root, split, box_path)
    except OaaError as error:
        listing.faults.append(str(error))
    else:
        if files is not None:
            add_box_faults(listing, files, ImagenetSource.box_rules)
            listing.faults += unused_boxes(files, _photos(listing))
    return listing


def add_box_faults(listing: Listing, files: BoxFiles, rules: BoxRules, wanted: bool = True) -> None:
    """Add every fault of the boxes of a data set to its listing.

    Args:
        listing: the data set.
        files: its boxes.
        rules: of the layout.
        wanted: whether the user gave them; otherwise faults are one remark.
    """
    faults = list(listed_box_faults(files, _photos(listing), listing.classes, rules))
    if wanted:
        listing.faults += faults
    elif faults:
        listing.remarks.append(
            f"{files.path}: {len(faults)} of its boxes have a fault, so that there are no scores "
            f"with boxes: {faults[0]}"
        )


def _photos(listing: Listing) -> list[Photo]:
    return [Photo(one.name, one.photo, one.tags) for one in listing.images]
