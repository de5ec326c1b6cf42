"""Each speed as a ratio of two ways to do the same work: `make bench`, four minutes on two cores.

The two ways take turns, a hundred times, and each ratio is that of their medians: so other work on
the machine slows both. Processor time is measured where both ways compute in this process only.
Writes ratios.json beside this file. No test reads it.
"""

import argparse
import io
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from oaa_pl.losses import image_level_loss
from oaa_pl.metrics.segmentation import SegmentationScore
from oaa_pl.metrics.threshold import ThresholdCurve, cut
from oaa_pl.nets.attention import AttentionNet
from oaa_pl.nets.lite import EfficientNetLiteTrunk
from oaa_pl.nets.small import SmallTrunk
from oaa_pl.nets.vgg import Vgg16Trunk
from oaa_pl.proxy.boundary import boundary_saliency
from oaa_pl.store.accumulate import accumulate
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore

HERE = Path(__file__).parent
CLASSES, IMAGES, GRID = 20, 15_555, (32, 32)
Work = Callable[[], object]


class Line(NamedTuple):
    """A line of the table.

    Attributes:
        what: is compared, first way over second.
        sought: of the ratio.
        first: one way, or None where there is only the second way to time.
        second: the other way.
    """

    what: str
    sought: str
    first: Work | None
    second: Work


def medians(works: tuple[Work, ...], seconds: float) -> list[float]:
    """Median processor time of each, in turns."""
    times: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    begun = time.perf_counter()
    while len(times[0]) < 5 or (time.perf_counter() - begun < seconds and len(times[0]) < 100):
        for work, known in zip(works, times, strict=True):
            start = time.process_time_ns()
            work()
            known.append((time.process_time_ns() - start) / 1e9)
    return [float(np.median(known)) for known in times]


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
        )  # fmt: skip
        yield Line(
            f"{count} maps: NumPy's maximum of the state's bytes over a store update", ">= 0.5",
            partial(np.maximum, double, double.copy(), out=double), fuse,
        )  # fmt: skip
        yield Line(
            f"{count} maps: NumPy's maximum of float16 over a store update", "",
            partial(np.maximum, halves, halves.copy(), out=halves), fuse,
        )  # fmt: skip
        if count == 64:
            files = [folder / f"{n}.png" for n in range(count)]
            for path, one in zip(files, small, strict=True):
                Image.fromarray(one).save(path)
            yield Line(
                "64 maps: one PNG a map (decode, maximum, encode) over a store update", ">= 100",
                partial(update_pngs, files, maps), fuse,
            )  # fmt: skip

    def commit(rows: int) -> None:
        which = np.arange(rows)
        store.fuse(which, 0 * which, np.ones((rows, *GRID), np.float32))
        store.commit()

    yield Line(
        "commit: all rows changed over 1 % of them", "", partial(commit, IMAGES),
        partial(commit, IMAGES // 100),
    )  # fmt: skip


def update_pngs(files: list[Path], maps: np.ndarray) -> None:
    """As the authors' release does it: each map is a file of 8-bit grey, rewritten each time."""
    for path, one in zip(files, maps, strict=True):
        old = np.asarray(Image.open(io.BytesIO(path.read_bytes())))
        buffer = io.BytesIO()
        Image.fromarray(np.maximum(old, (one * 255).astype(np.uint8))).save(buffer, "PNG")
        path.write_bytes(buffer.getvalue())


def training_lines(folder: Path) -> Iterator[Line]:
    """A training step with and without accumulation, for three networks from random weights."""
    for name, net, batch, side, sought in (
        ("small network", AttentionNet(SmallTrunk(), CLASSES, 64), 16, 96, "<= 1.05"),
        ("lite0", AttentionNet(EfficientNetLiteTrunk(0, "none"), CLASSES, layers=0), 8, 224,
         "<= 1.02"),
        ("VGG-16", AttentionNet(Vgg16Trunk("none"), CLASSES), 5, 224, "<= 1.02"),
    ):  # fmt: skip
        store = new_store(folder / name, batch)
        step = partial(train, net.to(memory_format=torch.channels_last), batch, side)
        yield Line(
            f"training step, {name}: with accumulation over without", sought,
            partial(accumulating, store, step), step,
        )  # fmt: skip


def new_store(folder: Path, images: int) -> MemmapStore:
    """A store of as many images, each with one class."""
    names = tuple(f"class-{c}" for c in range(CLASSES))
    pairs = Pairs(tuple(f"image-{n}" for n in range(images)), names, torch.eye(CLASSES)[:images])
    return MemmapStore(folder, Header(names, pairs.fingerprint, GRID, "maximum"), pairs)


def train(net: AttentionNet, batch: int, side: int) -> Tensor:
    """One step of a network on random photos; returns its score map."""
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    score_map: Tensor = net(torch.randn(batch, 3, side, side))
    image_level_loss(score_map, torch.eye(CLASSES)[:batch]).backward()
    optimizer.step()
    optimizer.zero_grad()
    return score_map.detach()


def accumulating(store: MemmapStore, step: Callable[[], Tensor]) -> None:
    """A step, and what accumulation adds to it."""
    score_map = step()
    accumulate(store, score_map, torch.eye(CLASSES)[: len(score_map)], torch.arange(len(score_map)))


def evaluation_lines() -> Iterator[Line]:
    """100 thresholds: one pass for each, and one for all."""
    generator = torch.Generator().manual_seed(0)
    attention = torch.rand(2, 240, 320, generator=generator)
    truth = torch.randint(0, CLASSES + 1, (240, 320), generator=generator)
    categories = torch.tensor([1, 4])

    def one_each() -> None:
        for n in range(100):
            scores = SegmentationScore(CLASSES + 1)
            scores.update(cut(attention, categories, n / 100), truth)

    yield Line(
        "100 thresholds: one pass each over one for all", ">= 20", one_each,
        lambda: ThresholdCurve(CLASSES + 1, 100).update(attention, categories, truth),
    )  # fmt: skip


def start_lines() -> Iterator[Line]:
    """What a user waits for before anything happens."""
    photo = np.random.default_rng(0).integers(0, 255, (375, 500, 3), np.uint8)
    yield Line("boundary cue of a 500 x 375 photo, s", "<= 0.06", None,
               partial(boundary_saliency, photo, 300, 0.01))  # fmt: skip


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(": ", 1)[1] for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def seconds_of(command: list[str]) -> float:
    """Least wall time of five calls of a command."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="time for each line")
    parser.add_argument("--note", default="", help="kept with the numbers: what else ran, say")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)  # processor time would count the waiting of a second thread
    rng, table = np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as folder:
        for lines in (
            store_lines(Path(folder), rng), training_lines(Path(folder)), evaluation_lines(),
            start_lines(),
        ):  # fmt: skip
            for line in lines:
                works = (line.second,) if line.first is None else (line.first, line.second)
                spent = medians(works, given.seconds)
                ratio = spent[0] / spent[1] if line.first else spent[0]
                table.append({"what": line.what, "sought": line.sought, "measured": ratio,
                              "seconds": spent})  # fmt: skip
                print(f"{line.what:<75} {line.sought:>8} {ratio:>10.4g}", flush=True)
    for what, command, sought in (
        ("oaa --help, s", ["-m", "oaa_pl", "--help"], "<= 0.3"),
        ("import oaa_pl, s, with Python's own start", ["-c", "import oaa_pl"], "<= 0.1"),
    ):
        spent_here = seconds_of(command)
        table.append({"what": what, "sought": sought, "measured": spent_here})
        print(f"{what:<75} {sought:>8} {spent_here:>10.4g}")
    found = {"processor": processor(), "torch": torch.__version__, "numpy": np.__version__,
             "note": given.note, "lines": table}  # fmt: skip
    (HERE / "ratios.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
