"""Maps to and from other people's code: a file per map or per image.

    png   <id>_<class>.png   8-bit grey, 255 is attention 1; classes count from 0. The names that
                             implementations of online attention accumulation write and read.
    npz   <id>.npz           `keys` (K,), the classes, and `cam` (K, h, w) in [0, 1], float32: the
                             names of the affinity networks' archives. Also `updates`, `last_epoch`
                             and `origin` of each map, (K,).

An export has the store's `header.json` and `images.txt` beside the maps, so that it can be imported
without its data set. Only maps that exist are written: a pair without one stays without one.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.errors import StoreError
from oaa_pl.store.base import AttentionStore
from oaa_pl.store.files import save_bytes, write_text
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_FALLBACK, ORIGIN_NONE, Header, Pairs
from oaa_pl.store.memmap import MemmapStore

__all__ = ["FORMATS", "export_maps", "import_maps"]

FORMATS = ("png", "npz")
"""What maps can be exported as."""


class _Found(NamedTuple):
    """A map that an import found: its class, attention (h, w), and record."""

    category: int
    attention: NDArray[np.float32]
    last_epoch: int = 0
    origin: int = ORIGIN_ACCEPTED


def export_maps(
    store: AttentionStore, folder: Path, kind: str = "png", done: Callable[[int], object] = id
) -> int:
    """Write every map of a store to files of its own.

    Args:
        store: the maps, (R, h, w) in [0, 1].
        folder: where the files go; made if absent, files of the same names are replaced.
        kind: one of `FORMATS`.
        done: told the number of images written, one at a time, for a progress bar.

    Returns:
        How many maps were written.

    Raises:
        StoreError: if the format is unknown, the disk full, or the folder cannot be written.
    """
    if kind not in FORMATS:
        raise StoreError(f"format must be one of {', '.join(FORMATS)}, got {kind!r}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made ({error.strerror}); choose another") from error
    write_text(folder / "images.txt", store.pairs.text())
    write_text(folder / "header.json", store.header.dump())
    written = 0
    for index, name in enumerate(store.pairs.ids):
        categories, attention = store.maps(index)
        rows = store.rows[store.pairs.row_of[index, categories]]
        made = rows["origin"] != ORIGIN_NONE
        path = folder / f"{name}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "png":
            for category, one in zip(categories[made], attention[made], strict=True):
                save_bytes(path.with_name(f"{path.stem}_{category}.png"), _png(one))
        elif made.any():
            save_bytes(path, _npz(categories[made], attention[made], rows[made]))
        written += int(made.sum())
        done(1)
    return written


def import_maps(
    folder: Path, path: Path, header: Header, pairs: Pairs, done: Callable[[int], object] = id
) -> int:
    """Make a store of maps that were exported, or that other code wrote under the same names.

    Maps of another size are brought to the store's grid. Its fusion is the maximum, of one map.

    Args:
        folder: of `<id>_<class>.png` or `<id>.npz`; the first is taken where both are.
        path: the new store.
        header: what the maps mean; the fusion is replaced.
        pairs: the present (image, class) pairs; those without a file stay without a map.
        done: told the number of images read, one at a time, for a progress bar.

    Returns:
        How many maps were read.

    Raises:
        StoreError: if a file is no such map, no file is found, or the store already holds maps.
    """
    read = 0
    with MemmapStore(path, replace(header, fusion="maximum"), pairs) as store:
        if store.generations():
            raise StoreError(f"{path} already holds maps; import into a new folder")
        for index, name in enumerate(pairs.ids):
            for found in _maps_of(folder, name, np.flatnonzero(pairs.labels[index]).tolist()):
                put = store.fill if found.origin == ORIGIN_FALLBACK else store.fuse
                where, what = np.array([index]), np.array([found.category])
                put(where, what, _on_grid(found.attention, header.grid), epoch=found.last_epoch)
                read += 1
            done(1)
        if not read:
            raise StoreError(
                f"{folder} holds no map named like {pairs.ids[0] if pairs.ids else 'ID'}_0.png or "
                ".npz; give the folder that an export wrote"
            )
        store.commit()
    return read


def _png(attention: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.rint(attention * 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _npz(keys: NDArray[np.int64], cam: NDArray[np.float32], rows: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, keys=keys, cam=cam,
        updates=rows["updates"], last_epoch=rows["last_epoch"], origin=rows["origin"],
    )  # fmt: skip
    return buffer.getvalue()


def _maps_of(folder: Path, name: str, categories: Sequence[int]) -> list[_Found]:
    """What there is of one image, in either format."""
    greys = [(c, folder / f"{name}_{c}.png") for c in categories]
    found = [_Found(c, _read_png(path)) for c, path in greys if path.is_file()]
    path = folder / f"{name}.npz"
    return found if found or not path.is_file() else _read_npz(path, categories)


def _read_png(path: Path) -> NDArray[np.float32]:
    try:
        with Image.open(path) as image:
            if image.mode != "L":
                raise StoreError(f"{path} must be 8-bit grey, is of mode {image.mode}")
            return np.asarray(image, np.float32) / np.float32(255)
    except StoreError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise StoreError(f"{path} is no readable PNG ({error}); export it again") from error


def _read_npz(path: Path, categories: Sequence[int]) -> list[_Found]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys, cam = archive["keys"], archive["cam"].astype(np.float32)
            count = len(keys)
            epochs = archive["last_epoch"] if "last_epoch" in archive else np.zeros(count, int)
            origins = archive["origin"] if "origin" in archive else np.ones(count, int)
            found = zip(keys, cam, epochs, origins, strict=True)
            maps = [_Found(int(key), one, int(at), int(way)) for key, one, at, way in found]
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise StoreError(f"{path} is no readable archive of maps ({error!r})") from error
    for one in maps:
        if one.category not in categories or one.attention.ndim != 2:
            raise StoreError(
                f"{path} must hold `cam` (K, h, w) of the classes {list(categories)} that the "
                f"image has, got class {one.category} of shape {one.attention.shape}"
            )
        if not (one.attention.size and one.attention.min() >= 0 and one.attention.max() <= 1):
            raise StoreError(
                f"{path}: attention must lie in [0, 1]; divide each map by its maximum"
            )
    return maps


def _on_grid(attention: NDArray[np.float32], grid: tuple[int, int]) -> NDArray[np.float32]:
    """One map of any size on the store's grid: (1, h, w)."""
    if attention.shape != grid:
        smaller = attention.size > grid[0] * grid[1]
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        attention = cv2.resize(attention, grid[::-1], interpolation=how).clip(0, 1)
    return attention[None]
