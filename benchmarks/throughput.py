"""How fast the parts are on this machine, in half a minute: `python benchmarks/throughput.py`.

Each line is the median of several runs after a warm-up. The training steps are forward, backward
and update at the paper's batch of 5; "accumulation" is what the same batch costs on top of them.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from oaa_pl.attention.gate import accept_all
from oaa_pl.data.synthetic.scene import draw_scene
from oaa_pl.losses import image_level_loss
from oaa_pl.nets.attention import AttentionNet
from oaa_pl.nets.small import SmallTrunk
from oaa_pl.nets.vgg import Vgg16Trunk
from oaa_pl.proxy.rule import ProxyRule, make_labels
from oaa_pl.store.accumulate import accumulate
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore

BATCH = 5  # Paper: section 4.1
CLASSES = 20
IMAGES, TAGS_PER_IMAGE = 10_582, 1.47  # VOC 2012 train_aug: 15,555 pairs
GRID = (40, 40)
RULE = ProxyRule(0.3, 0.9, 32 / 255, 0.8, 0.01)


def per_second(work: Callable[[], object], amount: float, budget: float) -> float:
    """Median rate of `work`, which does `amount` of something, over about `budget` seconds."""
    work()
    times: list[float] = []
    while len(times) < 3 or sum(times) < budget:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return amount / float(np.median(times))


def training_step(
    trunk: nn.Module, hidden: int, side: int, half: bool
) -> tuple[Callable[[], Tensor], int]:
    """A step that returns its score map, and the number of images in it."""
    net = AttentionNet(trunk, CLASSES, hidden).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    image = torch.randn(BATCH, 3, side, side).to(memory_format=torch.channels_last)
    labels = torch.zeros(BATCH, CLASSES)
    labels[:, 0] = 1

    def step() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            score_map = net(image)
        score_map = score_map.float()
        optimizer.zero_grad()
        image_level_loss(score_map, labels).backward()
        optimizer.step()
        return score_map.detach()

    return step, BATCH


def full_size_store(folder: Path, fusion: str, rng: np.random.Generator) -> MemmapStore:
    """An empty store as large as full VOC's."""
    labels = rng.random((IMAGES, CLASSES)) < (TAGS_PER_IMAGE - 1) / (CLASSES - 1)
    labels[:, 0] = True
    names = tuple(f"class-{c}" for c in range(CLASSES))
    pairs = Pairs(tuple(f"image-{n}" for n in range(IMAGES)), names, labels)
    header = Header(names, pairs.fingerprint, GRID, fusion)
    return MemmapStore(folder / fusion, header, pairs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5, help="time for each line")
    budget = parser.parse_args().seconds
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")

    def line(what: str, rate: float, unit: str) -> None:
        print(f"{what:<52} {rate:>10,.1f} {unit}/s", flush=True)

    draws = iter(range(10**9))
    line(
        "draw one embedded image, long side 112",
        per_second(lambda: draw_scene(0, "train", next(draws), 112, 0.5), 1, budget),
        "images",
    )
    for what, trunk, hidden, side, half in (
        ("small net, 96 px, float32", SmallTrunk(), 64, 96, False),
        ("VGG-16, 224 px, bf16", Vgg16Trunk("none"), 512, 224, True),
    ):
        step, count = training_step(trunk, hidden, side, half)
        line(f"train {what}", per_second(step, count, budget), "images")

    with tempfile.TemporaryDirectory() as folder:
        for fusion in ("maximum", "running_mean"):
            store = full_size_store(Path(folder), fusion, rng)
            scores, index = torch.randn(BATCH, CLASSES, 28, 28), torch.arange(BATCH)
            labels = torch.from_numpy(store.pairs.labels[:BATCH]).float()

            whole = partial(accumulate, [store], scores, labels, index, gate=accept_all)
            line(f"accumulation of a batch, {fusion}", per_second(whole, BATCH, budget), "images")
            maps = rng.random((64, *GRID)).astype(np.float32)
            which, zeros = rng.choice(IMAGES, 64, replace=False), np.zeros(64, np.int64)
            rate = per_second(partial(store.fuse, which, zeros, maps), 64, budget)
            line(f"store, {fusion}, 40 x 40 cells, full VOC", rate, "maps")
            line(
                f"commit of {len(store.rows):,} maps",
                per_second(store.commit, 1, budget),
                "commits",
            )
            store.close()

    attention = rng.random((2, 375, 500), dtype=np.float32)
    saliency = rng.random((375, 500), dtype=np.float32)
    line(
        "proxy label, 500 x 375, two classes",
        per_second(lambda: make_labels(attention, np.array([0, 1]), saliency, RULE), 1, budget),
        "images",
    )


if __name__ == "__main__":
    main()
