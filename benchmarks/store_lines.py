"""Lines of a store as large as full VOC's: updates against NumPy and PNGs, commits."""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from lines import Line
from PIL import Image

from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore

__all__ = ["store_lines"]

CLASSES, IMAGES, GRID = 20, 15_555, (32, 32)


def store_lines(folder: Path, rng: np.random.Generator) -> Iterator[Line]:
    """Updates and commits of a store as large as full VOC's."""
    labels = np.zeros((IMAGES, CLASSES), bool)
    labels[:, 0] = True
    names = tuple(f"class-{c}" for c in range(CLASSES))
    pairs = Pairs(tuple(f"image-{n}" for n in range(IMAGES)), names, labels)
    store = MemmapStore(folder / "s", Header(names, pairs.fingerprint, GRID, "maximum"), pairs)
    for count in (64, 1024):
        maps = rng.random((count, *GRID)).astype(np.float32)
        which, zeros = rng.choice(IMAGES, count, replace=False), np.zeros(count, np.int64)
        fuse = partial(store.fuse, which, zeros, maps)
        small = rng.integers(0, 255, maps.shape, np.uint8)
        double = rng.integers(0, 255, (count, 2, *GRID), np.uint8)
        halves = maps.astype(np.float16)
        yield Line(
            f"{count} maps: NumPy's maximum of 1-byte cells over a store update", ">= 0.5",
            partial(np.maximum, small, small.copy(), out=small), fuse,
            "at most 0.38 can be reached: see [updates](#updates-of-a-store)",
        )  # fmt: skip
        yield Line(
            f"{count} maps: NumPy's maximum of the state's bytes over a store update", ">= 0.5",
            partial(np.maximum, double, double.copy(), out=double), fuse,
            "2 bytes a cell; at most 0.75 can be reached",
        )  # fmt: skip
        yield Line(
            f"{count} maps: NumPy's maximum of float16 over a store update", "",
            partial(np.maximum, halves, halves.copy(), out=halves), fuse,
            "what a loop in NumPy would pay",
        )  # fmt: skip
        files = [folder / f"{count}-{n}.png" for n in range(count)]
        for path, one in zip(files, small, strict=True):
            Image.fromarray(one).save(path)
        yield Line(
            f"{count} maps: one PNG a map (decode, maximum, encode) over a store update", ">= 100",
            partial(update_pngs, files, maps), fuse,
            "as the authors' release keeps its maps",
        )  # fmt: skip

    def commit(rows: int) -> None:
        which = np.arange(rows)
        store.fuse(which, 0 * which, np.ones((rows, *GRID), np.float32))
        store.commit()

    yield Line(
        "commit: all rows changed over 1 % of them", "", partial(commit, IMAGES),
        partial(commit, IMAGES // 100), "15,555 rows, with the update of the same rows before it",
    )  # fmt: skip


def update_pngs(files: list[Path], maps: np.ndarray) -> None:
    """As the authors' release does it: each map is a file of 8-bit grey, rewritten each time."""
    for path, one in zip(files, maps, strict=True):
        old = np.asarray(Image.open(io.BytesIO(path.read_bytes())))
        buffer = io.BytesIO()
        Image.fromarray(np.maximum(old, (one * 255).astype(np.uint8))).save(buffer, "PNG")
        path.write_bytes(buffer.getvalue())
