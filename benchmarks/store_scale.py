"""How the store's costs grow with its rows: `python benchmarks/store_scale.py`.

Each size runs in a process of its own. The table has microseconds of processor time a row, and the
megabytes of memory that each step takes beside what the process had before it (Linux only). Pages
of mapped files are not counted there: the system takes them back when it needs the memory. They are
in the resident memory of the whole process. Grids are small (8 x 8 cells), so what is measured is
the cost of rows, not of cells. Writes store_scale.csv and store_scale.png beside this file. With
`--side 28`, maps have 28 x 28 cells; the values are printed, and nothing is written.
"""

import argparse
import csv
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch  # noqa: F401  # the first update imports it, which is not what is measured

from oaa_pl.store.damage import examine
from oaa_pl.store.image_ids import ImageIds
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.merge import merge_stores
from oaa_pl.store.reader import StoreReader

HERE = Path(__file__).parent
ROWS = (15_555, 155_550, 1_555_500, 15_555_000)
CLASSES, SIDE, BATCH = 20, 8, 64
READS = UPDATES = 20_000  # maps, of whatever size the store is
FEW = 100  # one row in so many changes before the second commit


class Meter:
    """Processor time of each step, a row that it works on, and the memory that it takes."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self.memory: dict[str, float] = {}
        self._peak = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def __call__(self, what: str, rows: int) -> Iterator[None]:
        """Measure the block."""
        before = self._peak = own_memory()
        start = time.process_time()
        yield
        self.times[what] = (time.process_time() - start) / rows * 1e6
        self.memory[f"{what}, MB"] = max(self._peak, own_memory()) - before

    def _watch(self) -> None:
        while True:
            self._peak = max(self._peak, own_memory())
            time.sleep(0.01)


def own_memory() -> float:
    """Megabytes of this process that belong to no file; NaN where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [int(line.split()[1]) / 2**10 for line in lines if line.startswith("RssAnon")]
    return found[0] if found else float("nan")


def one_tag_each(rows: int) -> Pairs:
    """A data set of as many images, each with one class."""
    labels = np.zeros((rows, CLASSES), bool)
    labels[np.arange(rows), np.arange(rows) % CLASSES] = True
    names = tuple(f"class-{c}" for c in range(CLASSES))
    return Pairs(ImageIds(f"image-{n}" for n in range(rows)), names, labels)


def fuse(store: MemmapStore, which: np.ndarray, rng: np.random.Generator) -> None:
    """Fuse a random map into each of some rows, in batches."""
    maps = rng.random((BATCH, *store.header.grid), np.float32)
    for start in range(0, len(which), BATCH):
        index = which[start : start + BATCH]  # each image has one row
        store.fuse(index, index % CLASSES, maps[: len(index)])


def measure(rows: int, side: int) -> dict[str, float]:
    """Each step's microseconds a row, and the memory in MB, for a store of that many rows."""
    rng, timed = np.random.default_rng(0), Meter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with timed("pairs", rows):
            pairs = one_tag_each(rows)
            header = Header(pairs.classes, pairs.fingerprint, (side, side), "maximum")
        with timed("create", rows):
            store = MemmapStore(path / "a", header, pairs)
        with timed("first update", rows):  # it makes tables
            fuse(store, np.arange(BATCH), rng)
        with timed("update", UPDATES):
            fuse(store, rng.integers(0, rows, UPDATES), rng)
        with timed("commit, whole", rows):
            store.commit()
        few = np.sort(rng.choice(rows, rows // FEW, replace=False))
        fuse(store, few, rng)
        with timed("commit, 1 % changed", len(few)):
            store.commit()
        with timed("go back", rows):
            store.roll_back(1)
        store.close()
        with timed("open to read", rows):
            reader = StoreReader(path / "a")
        with timed("read", READS):
            for index in rng.integers(0, rows, READS).tolist():
                reader.maps(index)
        with timed("verify", rows):
            found = examine(path / "a", reader.generation, header, rows)
        if found.problems:
            raise SystemExit(found.problems)
        with MemmapStore(path / "b", header, pairs) as other:
            fuse(other, few, rng)
            other.commit()
        with timed("merge", rows):
            merge_stores(path / "c", [path / "a", path / "b"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resident = peak / (2**20 if sys.platform == "darwin" else 2**10)
    return {**timed.times, **timed.memory, "resident in all, MB": resident}


def draw(table: dict[int, dict[str, float]]) -> None:
    """A line for each step over the number of rows."""
    figure, (times, memory) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for what in next(iter(table.values())):
        axes = memory if "MB" in what else times
        axes.plot(list(table), [line[what] for line in table.values()], "o-", label=what)
    for axes, title in ((times, "processor time a row, µs"), (memory, "most memory, MB")):
        axes.set(xscale="log", yscale="log", xlabel="rows", title=title)
        axes.grid(alpha=0.3)
    times.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    memory.legend(fontsize=8)
    figure.savefig(HERE / "store_scale.png", dpi=100)


def main() -> None:
    """Measure every size, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=list(ROWS))
    parser.add_argument("--side", type=int, default=SIDE, help="cells of a map's side")
    parser.add_argument("--one", action="store_true", help="measure one size, print its values")
    given = parser.parse_args()
    if given.one:
        for what, value in measure(given.rows[0], given.side).items():
            print(f"{what}\t{value:.4f}")
        return
    table = {}
    for rows in given.rows:
        command = [
            sys.executable,
            __file__,
            "--one",
            "--rows",
            str(rows),
            "--side",
            str(given.side),
        ]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        table[rows] = {k: float(v) for k, v in (ln.split("\t") for ln in answer.splitlines())}
        print(rows, table[rows], flush=True)
    if given.side != SIDE:
        return
    with (HERE / "store_scale.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", *table])
        for what in next(iter(table.values())):
            writer.writerow([what, *(f"{line[what]:.3g}" for line in table.values())])
    draw(table)


if __name__ == "__main__":
    main()
