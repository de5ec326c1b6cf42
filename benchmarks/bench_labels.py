"""Proxy labels in processes against a plain loop, and the boundary cue of one photo."""

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import Bench
from runs import composed

from oaa_pl.data.source import Source
from oaa_pl.machine import usable_cores
from oaa_pl.parallel.fan_out import FanOut
from oaa_pl.proxy.boundary_cue import BoundaryCue
from oaa_pl.proxy.produce import LabelMaker
from oaa_pl.proxy.rule import ProxyRule
from oaa_pl.store.layout import Header
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader

NUMBER = 576  # photos: so many that the start of the processes counts little
GRID = (56, 56)
CUE = BoundaryCue(None, 300, 0.01)
RULE = ProxyRule(0.3, 0.9, 32 / 255, 0.8, 0.01)

Label = Callable[[int], None]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Label]:
    """Photos, and what labels them all in so many processes."""
    folder = tmp_path_factory.mktemp("labels")
    run = composed(folder, NUMBER)
    photos, pairs = run.parts.data.train, run.classifier().pairs
    maps = np.random.default_rng(0).random((len(pairs.pairs), 4, 4)).astype(np.float32)
    maps = np.kron(maps, np.ones((1, 14, 14), np.float32))
    header = Header(pairs.classes, pairs.fingerprint, GRID, "maximum")
    with MemmapStore(folder / "maps", header, pairs) as store:
        store.fill(pairs.pairs[:, 0], pairs.pairs[:, 1], maps)
        store.commit()
    reader = StoreReader(folder / "maps")

    def label(workers: int) -> None:
        made = Path(tempfile.mkdtemp(dir=folder))
        for name in ("proxy", "hard"):
            (made / name).mkdir()
        maker = LabelMaker(photos.ids, photos.photo, reader.maps, CUE, RULE, made)
        with FanOut(workers=workers).results(maker, range(len(photos.ids))) as results:
            list(results)

    return photos, label


def test_labels_in_processes(
    bench: Bench, train: tuple[Source, Label], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A new process imports the main module, which is pytest's here, and that of `oaa` is small.
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    _, label = train
    cores = usable_cores()
    bench.ratio(
        f"proxy labels: a plain loop over {cores} processes", ">= 1.9", partial(label, 1),
        partial(label, cores), f"{NUMBER} photos, boundary cue; with their start", 3,
    )  # fmt: skip


def test_two_plain_loops(bench: Bench, train: tuple[Source, Label]) -> None:
    loop = partial(train[1], 1)
    bench.ratio(
        f"proxy labels: {usable_cores()} plain loops one after another over the same side by side",
        "", partial(in_processes, loop, at_once=False), partial(in_processes, loop, at_once=True),
        "what this machine's cores allow; measured once", 1,
    )  # fmt: skip


@pytest.mark.benchmark(timer=time.process_time)
def test_boundary_cue(bench: Bench, train: tuple[Source, Label]) -> None:
    photo = train[0].photo(0)
    bench.seconds(
        "boundary cue of a 500 x 375 photo", "<= 0.06", partial(CUE, "0", photo),
        "processor time of one thread",
    )  # fmt: skip


def in_processes(work: Callable[[], None], *, at_once: bool) -> None:
    """Do the same work once in a process for each core, at once or one after another."""
    started = [
        multiprocessing.get_context("fork").Process(target=work) for _ in range(usable_cores())
    ]
    for process in started:
        process.start()
        if not at_once:
            process.join()
    for process in started:
        process.join()
