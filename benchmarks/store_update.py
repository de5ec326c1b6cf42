"""Updates of a store against NumPy's maximum: `python benchmarks/store_update.py`.

For batches of several sizes, in turns: a store's update; NumPy's maximum of as many cells in arrays
of its own; and the bare passes over the cells that the update makes, without any look at images,
classes and records. Then, in turns with updates, one PNG a map. Median processor times of one
thread, in microseconds. Writes store_update.csv beside this file.
"""

import csv
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pngs import update_pngs, write_pngs

from oaa_pl.store.image_ids import ImageIds
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore

HERE = Path(__file__).parent
IMAGES = 4096
SIZES = ((16, 32), (64, 32), (1024, 32), (64, 64), (1024, 64))  # maps of a batch, a map's side
SECONDS = 3.0  # for each comparison


def passes(state: np.ndarray, rows: np.ndarray, maps: np.ndarray) -> None:
    """Check that the largest value is 1, round, gather, compare, write: nothing else."""
    if maps.view(np.uint32).max() > np.float32(1).view(np.uint32):
        raise SystemExit("not attention")
    fresh = torch.from_numpy(maps).half().numpy().view(np.uint16)
    bits = state.view(np.uint16)
    kept = bits.take(rows, axis=0, mode="clip")
    np.maximum(kept, fresh, out=kept)
    bits[rows] = kept


def measure(count: int, side: int, folder: Path) -> dict[str, float]:
    """Median microseconds of each way to fuse as many maps."""
    rng = np.random.default_rng(0)
    names = ("class-0", "class-1")
    pairs = Pairs(ImageIds(f"image-{n}" for n in range(IMAGES)), names, np.eye(2)[[0] * IMAGES])
    header = Header(names, pairs.fingerprint, (side, side), "maximum")
    maps = rng.random((count, side, side), np.float32)
    rows, zeros = rng.choice(IMAGES, count, replace=False), np.zeros(count, np.int64)
    state = np.zeros((IMAGES, side, side), np.float16)
    one, two = rng.integers(0, 255, (2, *maps.shape), np.uint8), maps.astype(np.float16)
    bits, single = two.view(np.uint16), maps.copy()
    with MemmapStore(folder / "store", header, pairs) as store:
        update = partial(store.fuse, rows, zeros, maps)
        found = in_turns({
            "update": update,
            "bare passes": partial(passes, state, rows, maps),
            "maximum, 1 byte": partial(np.maximum, one[0], one[1].copy(), out=one[0]),
            "maximum, 2 bytes": partial(np.maximum, bits, bits.copy(), out=bits),
            "maximum, float16": partial(np.maximum, two, two.copy(), out=two),
            "maximum, float32": partial(np.maximum, single, maps, out=single),
        })  # fmt: skip
        files = write_pngs(folder, maps)
        beside = in_turns({"update": update, "PNG": partial(update_pngs, files, maps)})
    return {**found, "update beside PNG": beside["update"], "PNG": beside["PNG"]}


def in_turns(ways: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median processor time of each way, in microseconds."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    begun = time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        for name, way in ways.items():
            start = time.process_time_ns()
            way()
            times[name].append((time.process_time_ns() - start) / 1e3)
    return {name: float(np.median(known)) for name, known in times.items()}


def main() -> None:
    """Measure every size, print and write the table."""
    torch.set_num_threads(1)
    table = []
    for count, side in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(count, side, Path(folder))
        png = found["PNG"] / found["update beside PNG"]
        ratios = {name: f"{value / found['update']:.3f}" for name, value in found.items()}
        print(f"{count} x {side}: {found['update']:.4g} us, PNG over update {png:.3g};", ratios)
        table.append([count, side, *(f"{value:.3g}" for value in found.values())])
    with (HERE / "store_update.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([["maps", "side", *found], *table])


if __name__ == "__main__":
    main()
