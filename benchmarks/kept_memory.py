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

from networks import Mode, network, stepping

from oaa_pl.machine import keep_freed_memory, usable_cores

NETWORKS = ("EfficientNet-Lite0", "VGG-16")
WAYS = ("given back", "kept")
FIRST, STEPS = 2, 10  # the first steps make the gradients and oneDNN's code

log = logging.getLogger(__name__)


def measure(name: str) -> tuple[float, float]:
    """Milliseconds of a step, the median of ten; page faults of a step, in thousands."""
    step = stepping(*network(name), Mode("channels_last", threads=usable_cores()))
    for _ in range(FIRST):
        step()
    before, times = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, []
    for _ in range(STEPS):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return 1e3 * statistics.median(times), faults / STEPS / 1e3


def main(turns: int) -> None:
    """Print both ways for every network."""
    for name in NETWORKS:
        found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        for way in WAYS * turns:
            command = [sys.executable, __file__, name, way]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[way].append(json.loads(done.stdout))
        back, kept = ([*map(statistics.median, zip(*found[way], strict=True))] for way in WAYS)
        log.info(
            "%s: given back %.0f ms, %.0f thousand faults; kept %.0f ms, %.0f thousand; ratio %.2f",
            name, *back, *kept, back[0] / kept[0],
        )  # fmt: skip


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if len(sys.argv) == 3:
        if sys.argv[2] == "kept":
            keep_freed_memory()
        sys.stdout.write(json.dumps(measure(sys.argv[1])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
