"""Speeds on one CUDA GPU, and what accumulation adds to a training step there, in about 90 seconds.

`python benchmarks/gpu.py OUTPUT.json`. A step is forward, backward and update on random photos
that are on the GPU already. Ways to do the same work take turns, each step alone between two waits
for the GPU, and each ratio is that of their medians. A second table has images per second of whole
blocks of steps, in which the GPU runs ahead of the host, as it does in a training.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oaa_pl.attention.gate import accept_all
from oaa_pl.losses import image_level_loss
from oaa_pl.nets.attention import AttentionNet
from oaa_pl.nets.lite import EfficientNetLiteTrunk
from oaa_pl.nets.vgg import Vgg16Trunk
from oaa_pl.store.accumulate import accumulate
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.writer_thread import WriterThread

CLASSES, GRID, IMAGES, TAGS = 20, (32, 32), 1024, 1.5  # tags of an image, about as VOC's
Work = Callable[[], object]

NETS: dict[str, Callable[[], AttentionNet]] = {
    "VGG-16": lambda: AttentionNet(Vgg16Trunk("none"), CLASSES),
    "lite0": lambda: AttentionNet(EfficientNetLiteTrunk(0, "none"), CLASSES, layers=0),
}
STEPS = (("VGG-16", 5), ("VGG-16", 32), ("lite0", 8), ("lite0", 64))
# TF32 of products and convolutions, autocast, memory format, torch.compile.
WAYS: dict[str, tuple[bool, bool, bool, bool]] = {
    "float32": (False, False, False, False),
    "tf32": (True, False, False, False),
    "bf16-mixed": (True, True, False, False),
    "bf16-mixed, channels_last": (True, True, True, False),
    "bf16-mixed, channels_last, compiled": (True, True, True, True),
}


class Steps:
    """A network in training, and stores that its score maps may go to.

    Args:
        net: name in `NETS`.
        batch: images a step.
        side: of a photo, in pixels.
        device: where it trains.
        way: see `WAYS`.
        folder: for the stores.
    """

    def __init__(
        self, net: str, batch: int, side: int, device: torch.device,
        way: tuple[bool, bool, bool, bool], folder: Path,
    ) -> None:  # fmt: skip
        _, self.half, channels_last, compiled = way
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.net: nn.Module = NETS[net]().to(device, memory_format=self.format)
        if compiled:
            self.net.compile()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=1e-4, momentum=0.9)
        self.image = torch.randn(batch, 3, side, side, device=device).to(memory_format=self.format)
        random = np.random.default_rng(0)
        tags = random.random((IMAGES, CLASSES)) < (TAGS - 1) / (CLASSES - 1)
        tags[:, 0] = True
        names = tuple(f"class-{c}" for c in range(CLASSES))
        pairs = Pairs(tuple(f"image-{n}" for n in range(IMAGES)), names, tags)
        self.stores = [  # the paper's two
            MemmapStore(folder / fusion, Header(names, pairs.fingerprint, GRID, fusion), pairs)
            for fusion in ("maximum", "running_mean")
        ]
        index = torch.from_numpy(random.choice(IMAGES, batch, replace=False))
        self.labels = torch.from_numpy(tags[index.numpy()]).float().to(device)
        self.index = index.pin_memory() if device.type == "cuda" else index
        self.device, self.batch = device, batch
        self.writer = WriterThread()

    def step(self) -> Tensor:
        """Forward, backward and update; returns the score map."""
        half = torch.autocast(self.device.type, torch.bfloat16) if self.half else nullcontext()
        with half:
            score_map: Tensor = self.net(self.image)
        score_map = score_map.float()
        self.optimizer.zero_grad()
        image_level_loss(score_map, self.labels).backward()
        self.optimizer.step()
        return score_map.detach()

    def accumulating(self, writer: WriterThread | None) -> None:
        """A step, and its accumulation into both stores, every map accepted."""
        accumulate(
            self.stores, self.step(), self.labels, self.index, gate=accept_all, writer=writer
        )

    def close(self) -> None:
        """End the thread and close the stores."""
        self.writer.drain()
        for store in self.stores:
            store.close()


@contextmanager
def products(tf32: bool) -> Iterator[None]:
    """Whether float32 convolutions and products may round their factors to TF32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = False, True


def wait(device: torch.device) -> None:
    """Until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def timed(
    works: Sequence[Work], ends: Sequence[Work], device: torch.device,
    turns: int, length: int = 1, warm_up: int = 1,
) -> list[float]:  # fmt: skip
    """Median seconds a step of each work, in turns of a block of steps and its end.

    The device is idle before and after each block.
    """
    times: list[list[float]] = [[] for _ in works]
    for turn in range(warm_up + turns):
        for work, end, known in zip(works, ends, times, strict=True):
            wait(device)
            start = time.perf_counter()
            for _ in range(length):
                work()
            end()
            wait(device)
            if turn >= warm_up:
                known.append((time.perf_counter() - start) / length)
    return [float(np.median(known)) for known in times]


def accumulation(steps: Steps, turns: int) -> dict[str, Any]:
    """A training step without accumulation, with it, and with it and the writer thread."""
    works: list[Work] = [
        steps.step, partial(steps.accumulating, None), partial(steps.accumulating, steps.writer)
    ]  # fmt: skip
    ends: list[Work] = [int, int, steps.writer.drain]  # int() does nothing
    each = timed(works, [int] * 3, steps.device, turns, warm_up=5)
    steps.writer.drain()
    in_blocks = timed(works, ends, steps.device, 3, max(2, turns // 5))
    return {
        "step_seconds": each, "block_seconds": in_blocks,
        "ratio": each[1] / each[0], "ratio_thread": each[2] / each[0],
        "block_ratio": in_blocks[1] / in_blocks[0],
        "block_ratio_thread": in_blocks[2] / in_blocks[0],
    }  # fmt: skip


def speed(steps: Steps, turns: int) -> dict[str, Any]:
    """Images per second of training without accumulation."""
    start = time.perf_counter()
    steps.step()
    wait(steps.device)
    first = time.perf_counter() - start
    (seconds,) = timed([steps.step], [int], steps.device, 3, max(2, turns // 5))
    return {"images_per_second": steps.batch / seconds, "first_step": first}


def tables(found: dict[str, Any]) -> str:
    """The rows without an error as the Markdown tables of docs/speed.md."""
    lines = [
        "| training step | without, ms | with | with the thread | in blocks | with the thread |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in found["accumulation"]:
        if "error" not in row:
            ratios = ("ratio", "ratio_thread", "block_ratio", "block_ratio_thread")
            numbers = [f"{1000 * row['step_seconds'][0]:.3g}", *(f"{row[r]:.2f}" for r in ratios)]
            lines.append(
                f"| {row['net']}, batch {row['batch']}, {row['way']} | {' | '.join(numbers)} |"
            )
    nets = sorted({(row["net"], row["batch"]) for row in found["speed"]})
    heads = [f"{net}, batch {batch}" for net, batch in nets]
    lines += ["", f"| images/s | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for way in WAYS:
        rates = {
            (row["net"], row["batch"]): f"{row['images_per_second']:.0f}"
            for row in found["speed"] if row["way"] == way and "error" not in row
        }  # fmt: skip
        lines.append(f"| {way} | {' | '.join(rates.get(net, '') for net in nets)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="a JSON file for the numbers")
    parser.add_argument("--device", default="cuda", help="cpu: to try the script, not to measure")
    parser.add_argument("--side", type=int, default=224, help="of a photo, in pixels")
    parser.add_argument("--turns", type=int, default=50, help="steps of each way")
    parser.add_argument("--seconds", type=float, default=75, help="start nothing after so long")
    given = parser.parse_args()
    device, begun = torch.device(given.device), time.perf_counter()
    torch.manual_seed(0)
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    found: dict[str, Any] = {
        "device": name, "torch": torch.__version__, "cuda": torch.version.cuda,
        "side": given.side, "turns": given.turns, "accumulation": [], "speed": [],
    }  # fmt: skip
    print(f"{name}, torch {torch.__version__}, {given.side} px")

    def add(table: str, work: Callable[[Steps, int], dict[str, Any]], *which: Any) -> None:
        net, batch, way = which
        if time.perf_counter() - begun > given.seconds:
            return
        row = {"net": net, "batch": batch, "way": way}
        with tempfile.TemporaryDirectory() as folder, products(WAYS[way][0]):
            try:
                steps = Steps(net, batch, given.side, device, WAYS[way], Path(folder))
                row |= work(steps, given.turns)
                steps.close()
            except Exception as error:  # the others are measured all the same
                row["error"] = f"{type(error).__name__}: {error}"[:300]
        found[table].append(row)
        print(table, json.dumps(row), flush=True)
        # After each line: what was measured stays if a later one is killed.
        given.output.write_text(json.dumps(found, indent=1) + "\n")

    for net, batch in STEPS:
        add("accumulation", accumulation, net, batch, "bf16-mixed, channels_last")
    for net, batch in STEPS[::2]:
        add("accumulation", accumulation, net, batch, "tf32")
    for way in WAYS:
        for net, batch in STEPS[1::2]:
            add("speed", speed, net, batch, way)
    found["seconds"] = time.perf_counter() - begun
    given.output.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{tables(found)}\n\n{found['seconds']:.0f} s")


if __name__ == "__main__":
    main()
