"""The augmented training set of VOC 2012: VOC's train and all of SBD, without VOC's val.

Source: Hariharan et al., ICCV 2011, for SBD's masks; section 4 of the paper trains on these 10,582
photos.

Shapes: masks (H, W) uint8: 0 background, 1..20 classes, 255 ignored.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from oaa_pl.data.images import check_mask, photo_size
from oaa_pl.data.photo_files import NamedFiles, find_photo
from oaa_pl.data.voc import VOC_CLASSES
from oaa_pl.data.voc_folder import listed, read_ids
from oaa_pl.errors import (
    BadMaskError,
    IncompleteDataError,
    MissingImageError,
    MissingMaskError,
    first_few,
)
from oaa_pl.files.atomic import write_whole
from oaa_pl.machine import usable_cores
from oaa_pl.proxy.palette import save_label

__all__ = [
    "MASKS", "SPLIT", "check_photos", "make_masks", "sbd_mask", "train_aug_ids", "without_mask",
    "write_list",
]  # fmt: skip

SPLIT, MASKS = "train_aug", "SegmentationClassAug"
IMAGES = 10_582


def train_aug_ids(voc: Path, sbd: Path) -> list[str]:
    """The ids of train_aug: VOC's train and all of SBD, without VOC's val.

    Args:
        voc: the folder of VOC 2012.
        sbd: the folder with SBD's `train.txt` and `val.txt`.

    Returns:
        10,582 ids, sorted.

    Raises:
        IncompleteDataError: if the number differs.
        EmptySplitError: if a list is empty.
    """
    ours = set(read_ids(sbd / "train.txt")) | set(read_ids(sbd / "val.txt"))
    ids = sorted((ours | set(read_ids(listed(voc, "train")))) - set(read_ids(listed(voc, "val"))))
    if len(ids) != IMAGES:
        raise IncompleteDataError(
            f"train_aug of {voc} and {sbd} has {len(ids):,} ids, expected {IMAGES:,}: a list is "
            f"not the published one; move {sbd} away and run the same command again"
        )
    return ids


def write_list(voc: Path, ids: Sequence[str]) -> None:
    """Write `ImageSets/Segmentation/train_aug.txt`, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    write_whole(listed(voc, SPLIT), "".join(f"{name}\n" for name in ids).encode())


def check_photos(voc: Path, ids: Sequence[str]) -> None:
    """Refuse ids without a photo.

    Raises:
        MissingImageError: with the first few of them and their number.
    """
    files = NamedFiles(voc / "JPEGImages")
    bare = [name for name in ids if files.find(name) is None]
    if bare:
        raise MissingImageError(
            f"{voc / 'JPEGImages'} lacks {len(bare):,} of {len(ids):,} photos: {first_few(bare)}; "
            "unpack VOC 2012 again, or take them off the list"
        )


def without_mask(voc: Path, ids: Sequence[str]) -> list[str]:
    """The ids without a file in `SegmentationClassAug`; an empty file does not count."""
    folder = voc / MASKS
    there = {p.stem for p in folder.glob("*.png") if p.stat().st_size} if folder.is_dir() else set()
    return [name for name in ids if name not in there]


def make_masks(voc: Path, sbd: Path | None, ids: Sequence[str]) -> Iterator[str]:
    """Write `SegmentationClassAug/<id>.png`: VOC's own mask if there is one, SBD's otherwise.

    Each file is written whole or not at all. After an interruption, continue with `without_mask`.

    Args:
        voc: the folder of VOC 2012.
        sbd: the folder with SBD's `cls`; None if no mask is needed from there.
        ids: whose masks to write.

    Yields:
        Each id whose mask is written, in the order of `ids`.

    Raises:
        MissingMaskError: if an image has no mask in either place.
        BadMaskError: if a mask of SBD cannot be read, or does not fit its photo.
        OutputError: if a mask cannot be written.
    """
    with ThreadPoolExecutor(usable_cores()) as pool:  # other threads run while a PNG is compressed
        try:
            yield from pool.map(partial(_make_mask, voc, sbd), ids)
        except BaseException:
            # Otherwise leaving the block would wait for all remaining masks.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def sbd_mask(path: Path) -> NDArray[np.uint8]:
    """Read the class ids of SBD's `cls/<id>.mat`.

    Args:
        path: of the file.

    Returns:
        Ids as in VOC, (H, W).

    Raises:
        MissingMaskError: if there is no such file.
        BadMaskError: if it cannot be read, or has no segmentation.
    """
    if not path.is_file():
        raise MissingMaskError(
            f"{path} does not exist, and VOC has no mask of this image: unpack SBD again"
        )
    try:
        # As torchvision reads it: a struct of 1 x 1, its field an object of one array.
        mask = np.asarray(loadmat(path)["GTcls"][0]["Segmentation"][0])
    except Exception as error:  # scipy raises many types for a damaged file
        raise BadMaskError(
            f"{path} is not a mask of SBD ({type(error).__name__}: {error}): unpack SBD again"
        ) from error
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise BadMaskError(
            f"{path} must hold (H, W) uint8, got {mask.shape} {mask.dtype}: unpack SBD again"
        )
    return mask


def _make_mask(voc: Path, sbd: Path | None, name: str) -> str:
    own, made = voc / "SegmentationClass" / f"{name}.png", voc / MASKS / f"{name}.png"
    if own.is_file():
        write_whole(made, own.read_bytes())
        return name
    source = (sbd or voc / "SBD") / "cls" / f"{name}.mat"
    mask = sbd_mask(source)
    photo = find_photo(voc / "JPEGImages", name) or voc / "JPEGImages" / f"{name}.jpg"
    check_mask(mask, source, len(VOC_CLASSES), photo_size(photo))
    save_label(made, mask)
    return name
