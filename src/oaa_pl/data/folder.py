"""Your own photos: a folder of photos and a CSV of tags, without masks.

Example of a tag file:

    image,tags
    holiday/beach.jpg,dog;person
    kitchen.png,coffee maker;person
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from oaa_pl.data.box_files import BoxFiles
from oaa_pl.data.boxed_source import BoxedSource
from oaa_pl.data.photo_files import Found, NamedFiles, image_id
from oaa_pl.data.tags import TagRow, read_tag_file, to_labels
from oaa_pl.errors import (
    BadTagFileError,
    ConfigError,
    EmptySplitError,
    MissingImageError,
    MissingMaskError,
)
from oaa_pl.files.home import expanded_path
from oaa_pl.names import as_classes, class_fault, look

__all__ = ["FolderSource", "find_mask", "validation_source"]


class FolderSource(BoxedSource):
    """The photos that a tag file lists. Other photos in the folder are not used.

    Args:
        root: the folder of the photos, in any mix of the suffixes of `photo_files.PHOTO_SUFFIXES`.
        tag_file: see `oaa_pl.data.tags.read_tag_file`; names are relative to `root`, with or
            without their suffix.
        classes: class names in the order of their ids; None takes the tag file's, sorted. A
            validation source is given those of the training source.
        mask_folder: true masks `<id>.png`, or in the photos' subfolders, for evaluation only;
            None: no masks.
        split: what to call these photos in results.
        name: of the data set, in results.
        box_path: boxes for scores of localisation: a folder of XML or a CSV, see
            `oaa_pl.data.box_files`; None: no boxes.

    Raises:
        BadTagFileError: if the tag file cannot be read, a row is malformed or two rows have photos
            with the same id.
        ConfigError: if the class names are invalid: see `oaa_pl.names`.
        EmptySplitError: if the tag file has no row.
        MissingImageError: if the folder, or a photo that the tag file lists, does not exist.
        MissingMaskError: if the folder of masks does not exist.
        MissingInputError: if `box_path` does not exist.
        BadImageError: if a photo is empty or in an unknown format.
        UntaggedImageError: if a row has no tag.
        UnknownClassError: if a tag is not in `classes`.
    """

    def __init__(
        self,
        root: str | Path,
        tag_file: str | Path,
        classes: Iterable[Any] | None = None,
        mask_folder: str | Path | None = None,
        split: str = "train",
        name: str = "folder",
        box_path: str | Path | None = None,
    ) -> None:
        root, tag_file = expanded_path(root), expanded_path(tag_file)
        given = as_classes(classes)
        if given is not None and (fault := class_fault(given)):
            raise ConfigError(f"data.classes: {fault}")  # before an error about a tag
        rows = read_tag_file(tag_file, given)
        if not rows:
            raise EmptySplitError(f"{tag_file} lists no image: add a row for each photo")
        if not root.is_dir():
            raise MissingImageError(f"data.root {root} is not a folder: give the photos' folder")
        chosen = given or tuple(sorted({tag for row in rows for tag in row.tags}))
        files = NamedFiles(root)
        found = [_photo(files, tag_file, row) for row in rows]
        ids = _ids(tag_file, rows, found)
        masks = None if mask_folder is None else _masks(expanded_path(mask_folder), ids, found)
        labels = to_labels([row.tags for row in rows], chosen)
        photos = [photo.path for photo in found]
        super().__init__(name, split, chosen, ids, labels, photos, masks)
        if box_path is not None:
            self.box_files = BoxFiles(expanded_path(box_path))


def validation_source(
    root: str | Path,
    tag_file: str | Path | None,
    classes: Iterable[Any] | None = None,
    mask_folder: str | Path | None = None,
    split: str | None = None,
    name: str = "folder",
    box_path: str | Path | None = None,
) -> FolderSource | None:
    """The photos of a second tag file, for validation. Arguments as in `FolderSource`.

    Args:
        root: folder of the photos.
        tag_file: of the photos to validate on; None: no validation.
        classes: of the training source.
        mask_folder: of true masks, or None.
        split: name of these photos in results; None: "val".
        name: of the data set, in results.
        box_path: of boxes, or None.

    Returns:
        The source, or None.
    """
    if tag_file is None:
        return None
    return FolderSource(root, tag_file, classes, mask_folder, split or "val", name, box_path)


def _photo(files: NamedFiles, tag_file: Path, row: TagRow) -> Found:
    found = files.find(row.image)
    if found is None:
        like = files.like(row.image)
        hint = f"write {like!r}, which is there, or" if like else "add it or"
        raise MissingImageError(
            f"{tag_file}:{row.line}: no photo {row.image!r} in {files.folder}: {hint} remove the "
            "row"
        )
    return found


def _ids(tag_file: Path, rows: Sequence[TagRow], found: Sequence[Found]) -> list[str]:
    ids: dict[str, TagRow] = {}
    alike: dict[str, tuple[TagRow, Path]] = {}
    for row, photo in zip(rows, found, strict=True):
        name = image_id(photo.name)
        first, path = alike.setdefault(look(name), (row, photo.path))
        # Maps, masks and predictions are files named by id: the second would overwrite the first.
        # A file system that ignores case finds one photo under two ids.
        same = first is not row and path.samefile(photo.path)
        other = ids.get(name) or (first if same else None)
        if other is not None:
            raise BadTagFileError(
                f"{tag_file}:{row.line}: image {row.image!r} has the id {name!r} of line "
                f"{other.line} ({other.image!r}): rename one of the photos, or remove the row"
            )
        ids[name] = row
    return list(ids)


def _masks(folder: Path, ids: Sequence[str], found: Sequence[Found]) -> list[Path]:
    if not folder.is_dir():
        raise MissingMaskError(f"data.mask_folder {folder} is not a folder: give the masks' folder")
    files = NamedFiles(folder, (".png",))
    return [find_mask(files, name, photo) for name, photo in zip(ids, found, strict=True)]


def find_mask(files: NamedFiles, image_id: str, photo: Found) -> Path:
    """The mask of a photo: `<id>.png`, or a PNG in the same subfolder as the photo.

    Args:
        files: of the folder of masks.
        image_id: the photo's id.
        photo: the photo.

    Returns:
        Its path; the path of `<id>.png` if there is no mask.
    """
    name = f"{image_id}.png"
    mask = files.find(name) or files.find(str(Path(photo.name).with_suffix(".png")))
    return files.folder / name if mask is None else mask.path
