"""Check the images of a data set, and list every fault once.

Read every photo, mask and saliency map once, in threads (decoding runs in parallel).

Shapes: photos (H, W, 3) uint8 RGB, masks (H, W) uint8; C foreground classes.
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.fitness import long_names
from oaa_pl.data.images import read_photo
from oaa_pl.data.listing import Listed, Listing
from oaa_pl.data.masks import check_mask, read_mask
from oaa_pl.data.remarks import odd_files, odd_photo, odd_tags, twins
from oaa_pl.data.tagged_masks import Shown, check_tagged, shown_classes, unlike_masks
from oaa_pl.errors import OaaError
from oaa_pl.files.atomic import LONGEST_NAME
from oaa_pl.files.image import read_header

__all__ = ["Findings", "Sample", "check_images", "check_lists"]

Cue = Callable[[str, NDArray[np.uint8]], object]

_THREADS = 8  # a photo of 48 megapixels takes half a gigabyte
_SIDE = 192  # pixels of a sample's long side


class Sample(NamedTuple):
    """A small copy of a photo, for the contact sheet.

    Attributes:
        name: its id.
        tags: its classes.
        photo: RGB, (h, w, 3) uint8.
        mask: its true mask, (h, w) uint8; None if it is missing or faulty.
    """

    name: str
    tags: tuple[str, ...]
    photo: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None


@dataclass
class Findings:
    """The result of a check.

    Attributes:
        faults: problems that would stop a training or its scores, one line each.
        remarks: other problems, one line each.
        sizes: pixels (H, W) of each readable photo.
        formats: format to number of photos.
        samples: small copies of some photos.
        pictures: digest of the pixels to photos.
    """

    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    pictures: dict[str, list[Listed]] = field(default_factory=lambda: defaultdict(list))


class _Seen(NamedTuple):
    faults: list[str]
    remarks: list[str]
    size: tuple[int, int] | None = None
    format: str = ""
    digest: str = ""
    sample: Sample | None = None
    shown: Shown | None = None
    deep: bool = False


def check_images(
    listing: Listing,
    cue: Cue | None,
    samples: int,
    progress: Callable[[int], object],
) -> Findings:
    """Read every photo of a data set, its mask and its saliency map.

    Args:
        listing: the data set.
        cue: (image id, photo) to saliency, if it reads files; its errors become faults.
        samples: number of small copies to make, equally many of each class.
        progress: called with 1 after each photo.
    """
    findings = Findings()
    chosen = _spread_over_classes(listing, samples)
    deep = 0
    masks: list[Shown] = []

    def look(place: int) -> _Seen:
        return _look(listing, listing.images[place], cue, place in chosen)

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        try:
            for image, seen in zip(
                listing.images, pool.map(look, range(len(listing.images))), strict=True
            ):
                findings.faults += seen.faults
                findings.remarks += seen.remarks
                if seen.size is not None:
                    findings.sizes.append(seen.size)
                    findings.formats[seen.format] += 1
                    findings.pictures[seen.digest].append(image)
                    deep += seen.deep
                if seen.sample is not None:
                    findings.samples.append(seen.sample)
                if seen.shown is not None:
                    masks.append(seen.shown)
                progress(1)
        except BaseException:
            # Otherwise leaving the block would wait for all remaining photos.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    findings.remarks += twins(findings.pictures.values())
    if deep:
        findings.remarks.append(
            f"{deep} photos have more than 8 bits a sample: photos that do not use the upper half "
            "of 16 bits are scaled by their own range; save them with 8 bits to choose yourself"
        )
    unlike = unlike_masks(listing.where, listing.classes, masks)
    findings.remarks += [unlike] if unlike else []
    return findings


def check_lists(listing: Listing, trained: bool = True, elsewhere: Sequence[Path] = ()) -> Findings:
    """Check names, tags and folder of a data set.

    Args:
        listing: the data set.
        trained: whether its tags are used for training, so that they must distinguish classes.
        elsewhere: photos of another split, which may be absent from this list.
    """
    names = [image.name for image in listing.images]
    faults = [
        f"the id {name!r} is too long for a file name (at most {LONGEST_NAME} bytes with .png): "
        "rename the photo, or its folders"
        for name in long_names(names)
    ]
    return Findings(
        faults, [*(odd_tags(listing) if trained else ()), *odd_files(listing, elsewhere)]
    )


def _look(listing: Listing, image: Listed, cue: Cue | None, keep: bool) -> _Seen:
    try:
        photo = read_photo(image.photo)
        header = read_header(image.photo)
    except OaaError as error:
        return _Seen([str(error)], [])
    height, width = size = (photo.shape[0], photo.shape[1])
    faults: list[str] = []
    remarks = list(odd_photo(image.photo, size, header.format))
    if image.mask is not None and header.orientation != 1:
        remarks.append(
            f"{image.photo} is turned by its orientation tag: its mask must fit the photo as "
            "it is shown; look at the contact sheet, or save the photo upright"
        )
    mask, shown = None, None
    try:
        mask = _true_mask(listing, image, size)
    except OaaError as error:
        faults.append(str(error))
    if mask is not None:
        tagged = {c for c, name in enumerate(listing.classes) if name in image.tags}
        shown = Shown(image.name, tagged, shown_classes(mask))
    if cue is not None:
        try:
            cue(image.name, photo)
        except OaaError as error:
            faults.append(str(error))
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(photo).data)
    sample = None
    if keep:
        share = min(1.0, _SIDE / max(size))
        small = max(1, round(width * share)), max(1, round(height * share))
        little = cv2.resize(photo, small, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        over = None if mask is None else cv2.resize(mask, small, interpolation=cv2.INTER_NEAREST)
        sample = Sample(
            image.name, image.tags, little, None if over is None else over.astype(np.uint8)
        )
    return _Seen(
        faults, remarks, size, header.format, digest.hexdigest(), sample, shown, header.deep
    )


def _true_mask(listing: Listing, image: Listed, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """The mask of an image, if there should be one."""
    if image.draw is not None:
        return image.draw()
    if image.mask is None:
        return None
    mask = read_mask(image.mask)
    check_mask(mask, image.mask, len(listing.classes), size)
    tags = np.array([name in image.tags for name in listing.classes], np.uint8)
    check_tagged(mask, image.mask, listing.classes, tags, listing.some_hidden)
    return mask


def _spread_over_classes(listing: Listing, wanted: int) -> set[int]:
    """Indices of a few images, taking classes in turn."""
    waiting = [
        [place for place, image in enumerate(listing.images) if name in image.tags]
        for name in listing.classes
    ] or [list(range(len(listing.images)))]
    chosen: set[int] = set()
    while len(chosen) < wanted and any(waiting):
        for places in waiting:
            while places and places[0] in chosen:
                places.pop(0)
            if places and len(chosen) < wanted:
                chosen.add(places.pop(0))
    return chosen
