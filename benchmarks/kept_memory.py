"""A training step on the CPU whose freed memory is kept, as `oaa` keeps it, and one whose is not.

Each way has processes of its own, in turns, since an allocator remembers what was freed before:

    python benchmarks/kept_memory.py [turns]
"""

import json
import logging
import resource
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from oaa_pl.machine import keep_freed_memory
from oaa_pl.nets.attention import AttentionNet
from oaa_pl.nets.lite import EfficientNetLiteTrunk
from oaa_pl.nets.vgg import Vgg16Trunk

BATCH = {"EfficientNet-Lite0": 8, "VGG-16": 5}
STEPS = 10

log = logging.getLogger(__name__)


def network(name: str) -> nn.Module:
    """A classifier of 20 classes with random weights, channels last."""
    lite = name == "EfficientNet-Lite0"
    trunk = EfficientNetLiteTrunk(variant=0, weights="none") if lite else Vgg16Trunk(weights="none")
    return AttentionNet(trunk, 20, layers=0).to(memory_format=torch.channels_last)


def measure(name: str) -> tuple[float, float]:
    """Milliseconds of a step of 224 px, the median of ten; page faults of a step, in thousands."""
    net = network(name)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    images = torch.randn(BATCH[name], 3, 224, 224).to(memory_format=torch.channels_last)
    times: list[float] = []
    for step in range(STEPS + 2):
        if step == 2:  # the first steps make the gradients and oneDNN's code
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        started = time.perf_counter()
        optimizer.zero_grad()
        F.softplus(net(images)).mean().backward()
        optimizer.step()
        times.append(time.perf_counter() - started)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return 1e3 * statistics.median(times[2:]), faults / STEPS / 1e3


def main(turns: int) -> None:
    """Print both ways for every network."""
    for name, batch in BATCH.items():
        found: dict[str, list[list[float]]] = {"given back": [], "kept": []}
        for _ in range(turns):
            for how, values in found.items():
                command = [sys.executable, __file__, name, how]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                values.append(json.loads(done.stdout))
        back, kept = (
            [statistics.median(one) for one in zip(*v, strict=True)] for v in found.values()
        )
        log.info(
            "%s, batch %d: given back %.0f ms, %.0f thousand faults; kept %.0f ms, %.0f thousand; "
            "ratio %.2f", name, batch, *back, *kept, back[0] / kept[0],
        )  # fmt: skip


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if len(sys.argv) == 3:
        if sys.argv[2] == "kept":
            keep_freed_memory()
        sys.stdout.write(json.dumps(measure(sys.argv[1])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
