"""Check before the first stage that a data set allows a run to finish.

The data set's constructor has read its list, its tags and the header of every photo. This file
checks the masks, which only the last stage reads.

Shapes: masks (H, W) uint8; C foreground classes.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import fsencode

import numpy as np

from oaa_pl.data.images import photo_size
from oaa_pl.data.source import FileSource, Source
from oaa_pl.data.tagged_masks import Shown, shown_classes, unlike_masks
from oaa_pl.errors import MissingMaskError, first_few
from oaa_pl.files.atomic import LONGEST_NAME

__all__ = ["check_fit", "long_names", "photo_sizes"]

log = logging.getLogger(__name__)

_LOOKED_AT = 2000  # masks whose pixels are read: about 3 ms each


def check_fit(source: Source, pixels: bool = True) -> None:
    """Refuse a data set that would stop a run later; warn about odd tags and masks.

    Args:
        source: any data set.
        pixels: whether to read pixels of masks too: of 2,000 masks at most, evenly spread. Headers
            are always read, 0.3 ms each.

    Raises:
        MissingMaskError: if the data set has masks, but not for every photo.
        BadMaskError: if a mask cannot be read, or does not fit its photo, the classes or the tags.
    """
    everywhere = [source.classes[c] for c in np.flatnonzero(source.labels.all(axis=0))]
    if everywhere:
        log.warning(
            "%s/%s: every photo is tagged with %s, so nothing tells it from the background: add "
            "photos without it", source.name, source.split, first_few(everywhere),
        )  # fmt: skip
    if not source.has_masks:
        return
    if isinstance(source, FileSource):
        _check_headers(source)
    if pixels:
        _compare_with_tags(source)


def long_names(ids: Sequence[str]) -> list[str]:
    """The ids that are too long for file names."""
    return [name for name in ids if len(fsencode(f"{name}.png")) > LONGEST_NAME]


def photo_sizes(source: Source) -> dict[str, tuple[int, int]]:
    """Id to pixels (H, W) of each photo, from the headers.

    Raises:
        BadImageError: if one cannot be read.
    """
    with ThreadPoolExecutor() as pool:  # mostly waits for the disk
        sizes = pool.map(photo_size, map(source.photo_path, range(len(source.ids))))
        return dict(zip(source.ids, sizes, strict=True))


def _check_headers(source: FileSource) -> None:
    places = range(len(source.ids))
    files = places if source.masks_are_files else ()
    bare = [source.ids[k] for k in files if not source.mask_path(k).is_file()]
    if bare:
        folder = source.mask_path(source.ids.index(bare[0])).parent
        raise MissingMaskError(
            f"{folder} lacks the masks of {len(bare)} of {len(source.ids)} photos: "
            f"{first_few(bare)}; add <id>.png for each, or do without masks: the scores of "
            f"{source.name}/{source.split} need all of them"
        )
    with ThreadPoolExecutor() as pool:
        list(pool.map(source.check_mask_size, places))


def _compare_with_tags(source: Source) -> None:
    places = range(0, len(source.ids), -(-len(source.ids) // _LOOKED_AT))

    def look(place: int) -> Shown:
        tagged = set(np.flatnonzero(source.labels[place]).tolist())
        return Shown(source.ids[place], tagged, shown_classes(source.mask(place)))

    with ThreadPoolExecutor() as pool:  # inflating PNGs lets other threads run
        masks = list(pool.map(look, places))
    unlike = unlike_masks(f"{source.name}/{source.split}", source.classes, masks)
    if unlike:
        log.warning("%s", unlike)
