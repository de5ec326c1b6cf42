"""List a data set with all of its faults, for `oaa data check`.

A source raises an error at its first fault, as a training should. The functions here collect all
faults instead.

Shapes: N images, C foreground classes.
"""

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.annotation import tags_from_annotation
from oaa_pl.data.exports import read_export
from oaa_pl.data.folder import find_mask
from oaa_pl.data.photo_files import NamedFiles, image_id
from oaa_pl.data.source import FileSource, Source
from oaa_pl.data.tag_rows import TagRow, rows_of_export
from oaa_pl.data.tags import read_tag_file, tags_from_mask
from oaa_pl.data.voc import VOC_CLASSES
from oaa_pl.data.voc_folder import find_voc, listed, read_ids
from oaa_pl.errors import OaaError
from oaa_pl.files.home import expanded_path

__all__ = ["Listed", "Listing", "of_folder", "of_source", "of_voc"]


@dataclass(frozen=True)
class Listed:
    """One photo of a data set.

    Attributes:
        name: its id, or its name in the list if it has no file.
        photo: its file.
        tags: names of its classes.
        mask: its true mask, which may be missing; None if the data set has no masks.
        draw: makes its true mask, (H, W) uint8, where masks are not files.
    """

    name: str
    photo: Path
    tags: tuple[str, ...] = ()
    mask: Path | None = None
    draw: Callable[[], NDArray[np.uint8]] | None = None


@dataclass
class Listing:
    """The images and faults of a data set.

    Attributes:
        where: name of the data set and split: "folder/train".
        classes: names of the C foreground classes; empty if they are unknown.
        images: images that have a file, N.
        faults: problems that would stop a training, one line each.
        folder: folder of all photos, to count photos without a tag; None: do not count.
        some_hidden: whether masks may have 255 on objects of tagged classes.
        remarks: other problems, one line each.
        unused: photos that are left out for a reason.
    """

    where: str
    classes: tuple[str, ...] = ()
    images: list[Listed] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    folder: Path | None = None
    some_hidden: bool = False
    remarks: list[str] = field(default_factory=list)
    unused: list[Path] = field(default_factory=list)


def of_source(source: Source, folder: Path | None = None) -> Listing:
    """The images of a data set that could be opened.

    Args:
        source: the data set.
        folder: folder of its photos, to count photos without a tag; None: do not count.
    """
    files = source if isinstance(source, FileSource) and source.has_masks else None
    drawn = files is not None and not files.masks_are_files
    images = [
        Listed(
            name,
            source.photo_path(place),
            tuple(source.classes[c] for c in np.flatnonzero(source.labels[place])),
            None if files is None or drawn else files.mask_path(place),
            partial(source.mask, place) if drawn else None,
        )
        for place, name in enumerate(source.ids)
    ]
    hidden = bool(getattr(source, "some_hidden", False))
    where = f"{source.name}/{source.split}"
    return Listing(where, tuple(source.classes), images, folder=folder, some_hidden=hidden)


def of_folder(
    root: str | Path,
    tag_file: str | Path,
    classes: Sequence[str] | None = None,
    mask_folder: str | Path | None = None,
    split: str = "train",
    name: str = "folder",
    **_: Any,
) -> Listing:
    """The images of a `FolderSource` that could not be opened, from its arguments.

    Args:
        root: the folder of the photos.
        tag_file: photos and tags.
        classes: names of the classes; None: those of the tag file.
        mask_folder: of true masks.
        split: name of the photos in results.
        name: of the data set.
    """
    root, tag_file = expanded_path(root), expanded_path(tag_file)
    rows, faults = _rows(tag_file, tuple(classes) if classes else None)
    found = tuple(classes or sorted({tag for row in rows for tag in row.tags}))
    listing = Listing(f"{name}/{split}", found, faults=faults, folder=root)
    photos = NamedFiles(root)
    masks = None if mask_folder is None else NamedFiles(expanded_path(mask_folder), (".png",))
    for row in rows:
        photo = photos.find(row.image)
        if photo is None:
            listing.faults.append(
                f"{tag_file}:{row.line}: no photo {row.image!r} in {root}: add it or remove the row"
            )
            continue
        own = image_id(photo.name)
        mask = None if masks is None else find_mask(masks, own, photo)
        listing.images.append(Listed(own, photo.path, row.tags, mask))
    return listing


def of_voc(
    root: str | Path,
    split: str,
    tags: str = "masks",
    tag_file: str | Path | None = None,
    classes: Sequence[str] | None = None,
    mask_folder: str = "SegmentationClass",
    name: str = "voc12",
    **_: Any,
) -> Listing:
    """The images of a `VocSource` that could not be opened, from its arguments.

    Args:
        root: the folder in VOC layout.
        split: name of its list.
        tags: where tags come from.
        tag_file: for tags="file".
        classes: names in the order of their ids; None: VOC's.
        mask_folder: of true masks, below `root`.
        name: of the data set.
    """
    voc = find_voc(Path(root)) or expanded_path(root)
    known = tuple(classes or VOC_CLASSES)
    listing = Listing(f"{name}/{split}", known, some_hidden=True)
    try:
        ids = read_ids(listed(voc, split))
    except (OaaError, OSError, ValueError):
        return listing  # the source has reported why
    rows: dict[str, tuple[str, ...]] = {}
    if tags == "file" and tag_file is not None:
        found, listing.faults = _rows(expanded_path(tag_file), known)
        rows = {image_id(Path(row.image).name): row.tags for row in found}
    has_masks = (voc / mask_folder).is_dir() and tags != "none"
    photos = NamedFiles(voc / "JPEGImages")
    for one in ids:
        found_photo = photos.find(one)
        if found_photo is None:
            listing.faults.append(
                f"{voc / 'JPEGImages' / one}.jpg does not exist but split {split!r} lists {one!r}: "
                "add it or take it off the list"
            )
            continue
        photo = found_photo.path
        mask = voc / mask_folder / f"{one}.png"
        found_tags: tuple[str, ...] = ()
        try:
            if tags == "masks":
                found_tags = tags_from_mask(mask, photo, known)
            elif tags == "annotations":
                found_tags = tags_from_annotation(voc / "Annotations" / f"{one}.xml", known)
            else:
                found_tags = rows.get(one, ())
            if not found_tags and tags != "none":
                listing.faults.append(
                    f"image {one!r} of {listing.where} has no tag: tag it or take it off the list"
                )
        except OaaError as error:
            if tags == "annotations":  # the check reads masks and photos later
                listing.faults.append(str(error))
        unique = tuple(dict.fromkeys(found_tags))
        listing.images.append(Listed(one, photo, unique, mask if has_masks else None))
    return listing


def _rows(path: Path, classes: Sequence[str] | None) -> tuple[list[TagRow], list[str]]:
    """The valid rows of a tag file, and the faults of the others.

    The reader stops at its first error. Blank the line that the error names, and read again.
    """
    faults: list[str] = []
    try:
        if (export := read_export(path)) is not None:
            rows = rows_of_export(path, export, classes, lambda error: faults.append(str(error)))
            return rows, faults
    except OaaError as error:
        return [], [*faults, str(error)]
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError:
        lines = []
    with tempfile.TemporaryDirectory() as folder:
        place = path
        while True:
            try:
                return read_tag_file(place, classes), faults
            except OaaError as error:
                text = str(error)
            faults.append(text.replace(str(place), str(path)))
            match = re.search(rf"{re.escape(str(place))}:(\d+): ", text)
            line = int(match[1]) if match else 0
            # Line 1 is the header. A blank line cannot be at fault again.
            if not 1 < line <= len(lines) or not lines[line - 1].strip():
                return [], faults
            lines[line - 1] = b"\n"
            place = Path(folder) / path.name
            place.write_bytes(b"".join(lines))
