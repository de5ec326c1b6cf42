"""A practitioner's own data: a folder of photos and a CSV of tags, no pixel labels.

Example of a tag file:

    image,tags
    holiday/beach.jpg,dog person
    kitchen.png,coffee maker;person
"""

from collections.abc import Sequence
from pathlib import Path

from oaa_pl.data.images import find_photo, image_id
from oaa_pl.data.source import FileSource
from oaa_pl.data.tags import TagRow, read_tag_file, to_labels
from oaa_pl.errors import BadTagFileError, EmptySplitError, MissingImageError

__all__ = ["FolderSource"]


class FolderSource(FileSource):
    """The photos that a tag file lists; photos that it does not list are left alone.

    Args:
        root: the folder of the photos, in any mix of jpg, jpeg, png, webp and bmp.
        tag_file: see `oaa_pl.data.tags.read_tag_file`; names are relative to `root`, with or
            without their suffix.
        classes: class names in the order of their ids; None takes the tag file's, sorted. Give
            them if validation has a tag file of its own: both must agree.
        mask_folder: true masks `<id>.png`, for evaluation only; None: there are none.
        split: what to call these photos in results.
        name: of the data set, in results.

    Raises:
        BadTagFileError: if the tag file cannot be read, a row is malformed or two rows mean
            photos of one id.
        EmptySplitError: if the tag file has no row.
        MissingImageError: if a photo that it lists does not exist.
        BadImageError: if a photo is empty or of no known format.
        UntaggedImageError: if a row has no tag.
        UnknownClassError: if a tag is not in `classes`.
    """

    def __init__(
        self,
        root: str | Path,
        tag_file: str | Path,
        classes: Sequence[str] | None = None,
        mask_folder: str | Path | None = None,
        split: str = "train",
        name: str = "folder",
    ) -> None:
        root, tag_file = Path(root), Path(tag_file)
        rows = read_tag_file(tag_file, tuple(classes) if classes else None)
        if not rows:
            raise EmptySplitError(f"{tag_file} lists no image: add a row for each photo")
        classes = tuple(classes) if classes else _classes_of(rows)
        photos = [_photo(root, tag_file, row) for row in rows]
        ids = _ids(root, tag_file, rows, photos)
        masks = None if mask_folder is None else [Path(mask_folder) / f"{i}.png" for i in ids]
        labels = to_labels([row.tags for row in rows], classes)
        super().__init__(name, split, classes, ids, labels, photos, masks)


def _classes_of(rows: Sequence[TagRow]) -> tuple[str, ...]:
    return tuple(sorted({tag for row in rows for tag in row.tags}))


def _photo(root: Path, tag_file: Path, row: TagRow) -> Path:
    path = find_photo(root, row.image)
    if path is None:
        raise MissingImageError(
            f"{tag_file}:{row.line}: no photo {row.image!r} in {root}: add it or remove the row"
        )
    return path


def _ids(root: Path, tag_file: Path, rows: Sequence[TagRow], photos: Sequence[Path]) -> list[str]:
    ids: dict[str, TagRow] = {}
    for row, path in zip(rows, photos, strict=True):
        name = image_id(str(path.relative_to(root)))
        if name in ids:
            # Maps, masks and predictions are files named by id, so the second would overwrite.
            raise BadTagFileError(
                f"{tag_file}:{row.line}: image {row.image!r} has the id {name!r} of line "
                f"{ids[name].line} ({ids[name].image!r}): rename one of the photos"
            )
        ids[name] = row
    return list(ids)
