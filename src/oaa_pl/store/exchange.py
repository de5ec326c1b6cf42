"""Maps to and from other people's code: a file per map or per image.

    png   <id>_<class>.png   8-bit grey, 255 is attention 1; classes count from 0. The names that
                             implementations of online attention accumulation write and read.
    npz   <id>.npz           an archive of an image's maps: see `store.archives`
    npy   <id>.npy           the same as a pickled dictionary, as irn, WeakTr and CLIP-ES have it

An export has the store's `header.json` and `images.txt` beside the maps, so that it can be imported
without its data set. Only maps that exist are written: a pair without one stays without one. A png
does not say whether its map was accepted or is a fallback; imported, it counts as accepted.

Shapes: K maps of h x w cells; C foreground classes.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import StoreError
from oaa_pl.files.atomic import LONGEST_NAME
from oaa_pl.parallel.fan_out import FanOut
from oaa_pl.proxy.resize import to_photo
from oaa_pl.store.archives import npy_bytes, npz_bytes
from oaa_pl.store.base import MapStore
from oaa_pl.store.fresh import new_folder, new_store
from oaa_pl.store.layout import ORIGIN_FALLBACK, ORIGIN_NONE, Header, Pairs
from oaa_pl.store.map_files import png_bytes, read_maps, require_number

__all__ = ["FORMATS", "export_maps", "import_maps"]

FORMATS = ("png", "npz", "npy")
"""What maps can be exported as."""


def export_maps(
    store: MapStore,
    folder: Path,
    kind: str = "png",
    done: Callable[[int], object] = lambda _: None,
    size_of: Callable[[str], tuple[int, int]] | None = None,
    fan_out: FanOut | None = None,
) -> int:
    """Write every map of a store to files of its own.

    Args:
        store: the maps, (R, h, w) in [0, 1].
        folder: where the files go; absent or empty, and all of it is there or nothing.
        kind: one of `FORMATS`.
        done: called with the number of images written, one at a time, for a progress bar.
        size_of: image id to the pixels (H, W) of its photo; with it, npy files have `high_res`.
        fan_out: where the files are made; None: in this process. Otherwise store and `size_of` are
            pickled.

    Returns:
        How many maps were written.

    Raises:
        StoreError: if the format is unknown, the disk full, the folder not empty or not writable,
            or an image id leads out of it.
    """
    if kind not in FORMATS:
        raise StoreError(f"format must be one of {', '.join(FORMATS)}, got {kind!r}")
    _require_file_names(store.pairs)
    written = 0
    with new_folder(folder) as making:
        with (making / "images.txt").open("wb") as file:
            store.pairs.write(file)
        header = replace(store.header, version=store.pairs.version)  # without generations
        (making / "header.json").write_bytes(header.dump().encode())
        export = _Export(store, making, kind, size_of)
        images = range(len(store.pairs.ids))
        with (fan_out or FanOut(workers=1)).results(export, images, usual=1) as counts:
            for count in counts:
                written += count
                done(1)
    return written


@dataclass(frozen=True)
class _Export:
    """Writes the maps of one image, by its index, and counts them."""

    store: MapStore
    folder: Path
    kind: str
    size_of: Callable[[str], tuple[int, int]] | None

    def __call__(self, index: int) -> int:
        name = self.store.pairs.ids[index]
        categories, attention = self.store.maps(index)
        rows = self.store.rows[self.store.pairs.first_row[index] :][: len(categories)]
        made = rows["origin"] != ORIGIN_NONE
        path = self.folder / f"{name}.{self.kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.kind == "png":
            for category, one in zip(categories[made], attention[made], strict=True):
                path.with_name(f"{path.stem}_{category}.png").write_bytes(png_bytes(one))
        elif made.any():
            held = categories[made], attention[made], rows[made]
            if self.kind == "npz":
                path.write_bytes(npz_bytes(*held))
            else:
                fine = None if self.size_of is None else to_photo(held[1], self.size_of(name))
                path.write_bytes(npy_bytes(*held, fine))
        return int(made.sum())


def import_maps(
    folder: Path,
    path: Path,
    header: Header,
    pairs: Pairs,
    done: Callable[[int], object] = lambda _: None,
) -> int:
    """Make a store of maps that were exported, or that other code wrote under the same names.

    Maps of another size are brought to the store's grid. Its fusion is the maximum, of one map.

    Args:
        folder: of `<id>_<class>.png`, `<id>.npz` or `<id>.npy`, one of them for each image.
        path: the new store; absent or empty, and made whole or not at all.
        header: what the maps mean; the fusion is replaced.
        pairs: the present (image, class) pairs; those without a file stay without a map.
        done: called with the number of images read, one at a time, for a progress bar.

    Returns:
        How many maps were read.

    Raises:
        StoreError: if a file is not such a map or of a class that its image does not have, no file
            is found, or the path of the store holds anything.
    """
    _require_file_names(pairs)
    _require_present_classes(folder, pairs)
    read = 0
    with new_store(path, replace(header, fusion="maximum"), pairs) as store:
        for index, name in enumerate(pairs.ids):
            for found in read_maps(folder, name, np.flatnonzero(pairs.labels[index]).tolist()):
                put = store.fill if found.origin == ORIGIN_FALLBACK else store.fuse
                where, what = np.array([index]), np.array([found.category])
                put(where, what, _on_grid(found.attention, header.grid), epoch=found.last_epoch)
                read += 1
            done(1)
        if not read:
            image = pairs.ids[0] if pairs.ids else "ID"
            raise StoreError(
                f"{folder} holds no map of these images, named like {image}_0.png, {image}.npz or "
                f"{image}.npy; give the folder of the maps, and the data set that they are of"
            )
    return read


def _require_file_names(pairs: Pairs) -> None:
    """Refuse ids that name no file inside the folder: a list of images may come from a stranger."""
    for name in pairs.ids:
        path = PurePosixPath(name)
        # One spelling of each path, or an import would look elsewhere than the export wrote.
        if path.is_absolute() or ".." in path.parts or "\0" in name or str(path) != name:
            raise StoreError(f"image id {name!r} cannot name a file inside a folder; rename it")
        longest = len(os.fsencode(f"{path.name}_{len(pairs.classes)}.png"))
        if longest > LONGEST_NAME:
            raise StoreError(
                f"image id {name!r} makes a file name of {longest} bytes, at most {LONGEST_NAME} "
                "are allowed; rename it"
            )


def _require_present_classes(folder: Path, pairs: Pairs) -> None:
    """Refuse files of classes that their image does not have: they may be counted from 1."""
    for path in sorted(folder.rglob("*_*.png")):
        name, _, number = path.relative_to(folder).with_suffix("").as_posix().rpartition("_")
        place = pairs.place_of(name)
        if place is not None and number.isdecimal():
            require_number(path, number)
            present = np.flatnonzero(pairs.labels[place]).tolist()
            if int(number) not in present:
                raise StoreError(
                    f"{path} is of class {number}, image {name!r} has only {present} of "
                    f"0..{len(pairs.classes) - 1}; classes count from 0, without the background"
                )


def _on_grid(attention: NDArray[np.float32], grid: tuple[int, int]) -> NDArray[np.float32]:
    """One map of any size on the store's grid: (1, h, w)."""
    if attention.shape != grid:
        smaller = attention.size > grid[0] * grid[1]
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        attention = cv2.resize(attention, grid[::-1], interpolation=how).clip(0, 1)
    return attention[None]
