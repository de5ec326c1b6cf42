"""Find PASCAL VOC 2012 below a folder, read its lists, and check that it is complete.

Source: Everingham et al., IJCV 2015, and the development kit of VOC 2012 for the counts.
"""

from pathlib import Path, PurePosixPath

from oaa_pl.data.photo_files import PHOTO_SUFFIXES, image_id
from oaa_pl.data.tag_table import split_image
from oaa_pl.errors import BadListError, EmptySplitError, IncompleteDataError
from oaa_pl.files.home import expanded_path
from oaa_pl.files.text import read_text
from oaa_pl.names import file_fault

__all__ = ["check_whole", "find_voc", "listed", "read_ids"]

PHOTOS, TRAIN, VAL, MASKS = 17_125, 1_464, 1_449, 2_913

_PHOTO_FOLDER = "JPEGImages"

# The folder itself, the archive's folder in it, or the inner one of the archive's folders.
_PLACES = (".", "VOCdevkit/VOC2012", "VOC2012")


def find_voc(root: Path) -> Path | None:
    """The folder that holds `JPEGImages` and `ImageSets`.

    Args:
        root: that folder, or one that holds `VOCdevkit/VOC2012` or `VOC2012`.

    Returns:
        Its path, or None if it is in none of these places.
    """
    root = expanded_path(root)
    places = (root / place for place in _PLACES)
    return next((p for p in places if (p / "ImageSets").is_dir()), None)


def listed(voc: Path, split: str) -> Path:
    """The list of a split's ids: `ImageSets/Segmentation/<split>.txt`."""
    return voc / "ImageSets" / "Segmentation" / f"{split}.txt"


def read_ids(path: Path) -> list[str]:
    """Read the image ids of a list, in order.

    Args:
        path: of a text file with one image per line, in UTF-8, or in UTF-16 with a byte order mark.
            A line may have a second column: the mask's path or a number.

    Raises:
        FileNotFoundError: if there is no such file.
        BadListError: if it is not text, or a line is not an image of `JPEGImages`.
        EmptySplitError: if it lists no image.
    """
    lines = read_text(path, "list", BadListError).split("\n")
    numbered = [(n, line.strip()) for n, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise EmptySplitError(f"{path} lists no image: choose another split or fill it")
    # All lines have a second column, or no line has: an id may contain blanks and end with " 1".
    columns = [split_image(line) for _, line in numbered]
    different = len({image for image, _ in columns}) == len(columns)
    if not (different and all(_second_column(rest) for _, rest in columns)):
        columns = [(line, "") for _, line in numbered]
    return [_id(image, f"{path}:{n}") for (n, _), (image, _) in zip(numbered, columns, strict=True)]


def _second_column(text: str) -> bool:
    """Whether a text can be a list's second column: a mask's path, or VOC's -1, 0 or 1."""
    return text in ("-1", "0", "1") or text.lower().endswith(PHOTO_SUFFIXES)


def _id(image: str, where: str) -> str:
    path = PurePosixPath(image.lstrip("/"))
    if ".." in path.parts or (len(path.parts) > 1 and path.parent.name != _PHOTO_FOLDER):
        raise BadListError(
            f"{where}: {image!r} is in a folder, but the photos of VOC's layout are in "
            f"{_PHOTO_FOLDER} itself: write the id alone, or use data=folder, which has subfolders"
        )
    name = image_id(path.name)
    if fault := file_fault(name):
        raise BadListError(f"{where}: the image {name!r} {fault}: rename it")
    return name


def check_whole(voc: Path) -> None:
    """Refuse an incomplete VOC 2012.

    There may be more photos and masks: some people add the test set.

    Args:
        voc: the folder with `JPEGImages` and `ImageSets`.

    Raises:
        IncompleteDataError: if it has too few photos or masks, or lists of another length.
    """
    lists = {split: listed(voc, split) for split in ("train", "val")}
    lengths = {split: len(read_ids(p)) if p.is_file() else 0 for split, p in lists.items()}
    photos = _count(voc / "JPEGImages", ".jpg")
    masks = _count(voc / "SegmentationClass", ".png")
    wrong = [
        f"{what} {found:,}, expected {expected:,}"
        for what, found, expected, kept in (
            ("photos in JPEGImages", photos, PHOTOS, photos >= PHOTOS),
            ("masks in SegmentationClass", masks, MASKS, masks >= MASKS),
            ("ids in train.txt", lengths["train"], TRAIN, lengths["train"] == TRAIN),
            ("ids in val.txt", lengths["val"], VAL, lengths["val"] == VAL),
        )
        if not kept
    ]
    if wrong:
        raise IncompleteDataError(
            f"{voc} is not the whole of VOC 2012 trainval: {'; '.join(wrong)}; move it away and "
            "run the same command again, or unpack the archive there"
        )


def _count(folder: Path, suffix: str) -> int:
    return sum(p.suffix == suffix for p in folder.iterdir()) if folder.is_dir() else 0
