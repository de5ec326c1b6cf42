"""One file per image with all of its maps: `.npz`, and the field's `.npy`.

    npz   `keys` (K,), the classes, and `cam` (K, h, w)
    npy   a pickled dictionary of the same, as irn, WeakTr and CLIP-ES read and write it; maps of
          the photo's size may be there as `high_res` (irn) or `attn_highres` (CLIP-ES); or one
          (h, w) map per class number (WeakTr, SEAM)

Both also have `updates`, `last_epoch` and `origin` of each map, (K,), if this package wrote them.

Shapes: K maps of h x w cells, in [0, 1].
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import StoreError
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_FALLBACK
from oaa_pl.store.pickled import read_arrays

__all__ = ["Found", "npy_bytes", "npz_bytes", "read_npy", "read_npz"]

_RECORDS = ("last_epoch", "origin")
_MAPS = ("high_res", "attn_highres", "highres", "cam", "cams")  # the finest first
_EPOCHS, _ORIGINS = range(2**31), range(ORIGIN_ACCEPTED, ORIGIN_FALLBACK + 1)


class Found(NamedTuple):
    """A map that was read: its class, attention (h, w), and record."""

    category: int
    attention: NDArray[np.float32]
    last_epoch: int = 0
    origin: int = ORIGIN_ACCEPTED


def npz_bytes(keys: NDArray[np.int64], cam: NDArray[np.float32], rows: NDArray[np.void]) -> bytes:
    """An archive of the maps of one image.

    Args:
        keys: classes, (K,).
        cam: maps in [0, 1], (K, h, w).
        rows: what the store knows of each, (K,).
    """
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, keys=keys, cam=cam,
        updates=rows["updates"], last_epoch=rows["last_epoch"], origin=rows["origin"],
    )  # fmt: skip
    return buffer.getvalue()


def npy_bytes(
    keys: NDArray[np.int64],
    cam: NDArray[np.float32],
    rows: NDArray[np.void],
    high_res: NDArray[np.float32] | None = None,
) -> bytes:
    """A pickled dictionary of the maps of one image.

    Args:
        keys: classes, (K,).
        cam: maps in [0, 1], (K, h, w).
        rows: what the store knows of each, (K,).
        high_res: the maps at the photo's size, (K, H, W), which irn's evaluation reads.
    """
    content: dict[str, NDArray[Any]] = {"keys": keys, "cam": cam}
    if high_res is not None:
        content["high_res"] = high_res
    buffer = io.BytesIO()
    np.save(buffer, np.array(content | _columns(rows), dtype=object), allow_pickle=True)
    return buffer.getvalue()


def read_npz(path: Path, allowed: Sequence[int]) -> list[Found]:
    """The maps of an archive.

    Args:
        path: the file.
        allowed: classes that it may have maps of.

    Raises:
        StoreError: if it is damaged, or its maps or classes are not valid.
    """
    try:
        # By a handle of our own: numpy leaves its own open when the file is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = ("keys", "cam", *_RECORDS)
            held = {name: np.asarray(archive[name]) for name in names if name in archive}
    except Exception as error:  # of zipfile, zlib, numpy, and the parser that it reads headers with
        raise StoreError(
            f"{path} is not a readable archive of maps ({type(error).__name__}); export it again"
        ) from error
    return _checked(path, held, "cam", allowed)


def read_npy(path: Path, allowed: Sequence[int]) -> list[Found]:
    """The maps of a pickled dictionary: of its finest maps.

    Args:
        path: the file.
        allowed: classes that it may have maps of.

    Raises:
        StoreError: if it is damaged, holds more than arrays, or its maps or classes are not valid.
    """
    held = read_arrays(path)
    if held and all(type(key) is int or isinstance(key, np.integer) for key in held):
        return _by_number(path, held, allowed)
    named = {str(key): value for key, value in held.items()}
    # An export has both sizes; the coarse one is the store's own, to the last bit.
    names = ("cam",) if "origin" in named and "cam" in named else _MAPS
    maps = next((name for name in names if name in named), None)
    if held and (maps is None or "keys" not in named):
        raise StoreError(
            f"{path} holds {', '.join(named)}, expected `keys` and one of {', '.join(_MAPS)}: save "
            "{'keys': classes, 'cam': maps}"
        )
    if maps is not None and named["keys"].ndim == 0:
        named["keys"] = named["keys"][None]
    return [] if maps is None else _checked(path, named, maps, allowed)


def _by_number(
    path: Path, held: Mapping[object, NDArray[Any]], allowed: Sequence[int]
) -> list[Found]:
    shapes = {one.shape for one in held.values()}
    if len(shapes) != 1:
        raise StoreError(f"{path}: the maps must have one size, got {sorted(shapes, key=str)}")
    keys = np.array([int(str(key)) for key in held], np.int64)
    return _checked(path, {"keys": keys, "cam": np.stack([*held.values()])}, "cam", allowed)


def _columns(rows: NDArray[np.void]) -> dict[str, NDArray[Any]]:
    return {name: np.ascontiguousarray(rows[name]) for name in ("updates", *_RECORDS)}


def _checked(
    path: Path, held: Mapping[str, NDArray[Any]], maps: str, allowed: Sequence[int]
) -> list[Found]:
    keys, cam = held.get("keys", np.zeros(())), held.get(maps, np.zeros(()))
    if keys.ndim != 1 or cam.ndim != 3 or len(keys) != len(cam) or 0 in cam.shape[1:]:
        raise StoreError(
            f"{path} must hold `keys` (K,) and `{maps}` (K, h, w), got {keys.shape} and {cam.shape}"
        )
    # Written so that NaN fails it too.
    if cam.dtype.kind not in "fiub" or not all(one.min() >= 0 and one.max() <= 1 for one in cam):
        raise StoreError(f"{path}: `{maps}` must be in [0, 1]; divide each map by its maximum")
    present = _whole_numbers(path, held, "keys", allowed, 0)
    if len(set(present)) < len(present):
        raise StoreError(f"{path}: `keys` must name each class once, got {present}")
    epochs = _whole_numbers(path, held, "last_epoch", _EPOCHS, 0)
    origins = _whole_numbers(path, held, "origin", _ORIGINS, ORIGIN_ACCEPTED)
    columns = zip(present, cam.astype(np.float32), epochs, origins, strict=True)
    return [Found(*found) for found in columns]


def _whole_numbers(
    path: Path,
    held: Mapping[str, NDArray[Any]],
    name: str,
    allowed: Sequence[int],
    default: int,
) -> list[int]:
    """A column of an archive, one number per map; the default where the archive has none."""
    count = len(held["keys"])
    column = held.get(name, np.full(count, default))
    whole = column.shape == (count,) and (not count or column.dtype.kind in "iu")
    if not whole or not all(int(number) in allowed for number in column):
        raise StoreError(f"{path}: `{name}` must be {count} numbers of {allowed}, got {column}")
    return [int(number) for number in column]
