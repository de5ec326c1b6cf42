"""What accumulation costs a training step."""

import time
from pathlib import Path

import pytest
import torch
from conftest import Bench
from networks import CLASSES, LITE, SMALL, VGG, Mode, network, stepping

from oaa_pl.store.accumulate import accumulate
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore

GRID = (32, 32)


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize(
    ("name", "sought"), [(SMALL, "<= 1.05"), (LITE, "<= 1.02"), (VGG, "<= 1.02")]
)
def test_a_step_with_accumulation(bench: Bench, tmp_path: Path, name: str, sought: str) -> None:
    net, batch, side = network(name)
    step = stepping(net, batch, side, Mode("plain"))
    labels, places = torch.eye(CLASSES)[:batch], torch.arange(batch)
    names = tuple(f"class-{c}" for c in range(CLASSES))
    pairs = Pairs(tuple(f"image-{n}" for n in range(batch)), names, labels)
    header = Header(names, pairs.fingerprint, GRID, "maximum")
    with MemmapStore(tmp_path / "store", header, pairs) as store:
        bench.ratio(
            f"training step with accumulation over without, {name}, {side} px", sought,
            lambda: accumulate(store, step(), labels, places), step,
            f"batch {batch}, one thread, float32",
        )  # fmt: skip
