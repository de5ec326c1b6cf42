"""Accumulation on a real CUDA GPU: the stores of a CPU, one copy a step, and no wait for it."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tests.store.contract import PAIRS, header_of, snapshot
from tests.store.test_accumulate_on_device import batch, snapshots, stores
from tests.store.test_host_copy import TENSORS
from tests.store.waits import Waits
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from oaa_pl.attention.cam import min_max_attention, probability_attention
from oaa_pl.attention.gate import accept_all, beats_absent_classes, top_k
from oaa_pl.errors import StoreError
from oaa_pl.store.accumulate import Gate, accumulate
from oaa_pl.store.host_copy import HostCopy
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memory import MemoryStore
from oaa_pl.store.writer_thread import WriterThread

pytestmark = pytest.mark.cuda

RELEASE = {"keep_empty": True, "to_attention": min_max_attention, "fill_rejected": True}
GATES = (beats_absent_classes, top_k, accept_all)
BUSY = 1_000_000_000  # cycles of a GPU: about half a second


def put(fields: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in fields.items()}


@pytest.fixture
def writer() -> Iterator[WriterThread]:
    made = WriterThread(most=2)
    yield made
    made.stop()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("settings", [{}, RELEASE], ids=["paper", "release"])
@pytest.mark.parametrize("gate", GATES)
def test_a_gpus_maps_make_the_bytes_of_a_cpu_without_a_wait(
    gpu: torch.device, gate: Gate, settings: dict[str, Any], dtype: torch.dtype
) -> None:
    here, away = stores(), stores()
    for step in range(3):
        fields = batch(step)
        fields["score_map"] = fields["score_map"].to(dtype)
        expected = accumulate(here, **fields, gate=gate, epoch=step, **settings)
        placed = put(fields, gpu)
        with Waits() as waits:
            accepted = accumulate(away, **placed, gate=gate, epoch=step, **settings)
        assert waits.all == []
        assert accepted.device.type == gpu.type
        assert torch.equal(accepted.cpu(), expected)
    assert snapshots(away) == snapshots(here)


@pytest.mark.parametrize("grid", [(32, 32), (41, 27)])
def test_random_crops_of_many_classes_make_the_bytes_of_a_cpu(
    gpu: torch.device, grid: tuple[int, int]
) -> None:
    random = np.random.default_rng(0)
    names = tuple(f"class {n}" for n in range(20))
    pairs = Pairs(tuple(f"image {n}" for n in range(64)), names, random.random((64, 20)) < 0.2)
    header = Header(names, pairs.fingerprint, grid, "running_mean")
    here, away = MemoryStore(header, pairs), MemoryStore(header, pairs)
    for step in range(4):
        drawn = torch.Generator().manual_seed(step)
        index = torch.randperm(64, generator=drawn)[:16]
        view = torch.zeros(16, 2, 3)
        view[:, 0, 0] = 1 + torch.rand(16, generator=drawn)
        view[:, 1, 1] = 1 + torch.rand(16, generator=drawn)
        view[:, :, 2] = torch.rand(16, 2, generator=drawn) - 0.5
        view[::2, 0] *= -1  # mirrored
        fields = {
            "score_map": torch.randn(16, 20, 28, 28, generator=drawn),
            "labels": torch.from_numpy(pairs.labels)[index].float(),
            "index": index,
            "view": view,
        }
        accumulate(here, **fields, gate=accept_all)
        accumulate(away, **put(fields, gpu), gate=accept_all)
    assert here.rows["updates"].sum() > 100
    assert snapshot(away) == snapshot(here)


def test_probabilities_differ_by_a_rounding_of_float16_at_most(gpu: torch.device) -> None:
    """A GPU's exponential function rounds otherwise than a CPU's."""
    here, away = MemoryStore(header_of(), PAIRS), MemoryStore(header_of(), PAIRS)
    fields, how = batch(0), {"gate": accept_all, "to_attention": probability_attention}
    accumulate(here, **fields, **how)  # type: ignore[arg-type]  # of two kinds
    accumulate(away, **put(fields, gpu), **how)  # type: ignore[arg-type]  # as above
    for image in range(len(PAIRS.ids)):
        difference = np.abs(away.maps(image).attention - here.maps(image).attention)
        assert difference.max(initial=0) <= 2**-11


def test_a_copy_is_in_pinned_memory(gpu: torch.device) -> None:
    tensors = [tensor for tensor in TENSORS if tensor.numel()]
    arrays = HostCopy([tensor.to(gpu) for tensor in tensors]).arrays()
    for array, tensor in zip(arrays, tensors, strict=True):
        assert np.array_equal(array, tensor.numpy())
        assert torch.from_numpy(array).is_pinned()


def test_a_copy_begins_while_the_gpu_is_busy_and_is_waited_for_by_who_reads(
    gpu: torch.device,
) -> None:
    numbers = torch.arange(5.0, device=gpu)
    HostCopy([numbers * 2]).arrays()  # loads the kernels
    torch.cuda.synchronize()
    torch.cuda._sleep(BUSY)
    copy = HostCopy([numbers * 2])
    stream = torch.cuda.current_stream()
    assert not stream.query()
    assert copy.arrays()[0].tolist() == [0, 2, 4, 6, 8]
    assert stream.query()


def test_a_step_with_a_writer_ends_while_the_gpu_is_busy(
    gpu: torch.device, writer: WriterThread
) -> None:
    here, away = stores(), stores()
    placed = put(batch(0), gpu)
    accumulate(stores(), **placed)  # loads the kernels
    torch.cuda.synchronize()
    torch.cuda._sleep(BUSY)
    accumulate(away, **placed, writer=writer)
    assert not torch.cuda.current_stream().query()
    writer.drain()
    accumulate(here, **batch(0))
    assert snapshots(away) == snapshots(here)


# torch's profiler warns of what the machine lacks, which no result here needs.
@pytest.mark.filterwarnings("default")
def test_a_step_copies_once_for_all_stores(gpu: torch.device) -> None:
    fed, placed = stores(), put(batch(0), gpu)
    accumulate(fed, **placed)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        for _ in range(3):
            accumulate(fed, **placed)
        torch.cuda.synchronize()
    names = [event.name for event in seen.events()]  # type: ignore[no-untyped-call]  # torch's own
    if not any(name.startswith("Memcpy") for name in names):
        pytest.skip("this machine's driver reports no copies to torch's profiler")
    assert [name for name in names if "DtoH" in name] == ["Memcpy DtoH (Device -> Pinned)"] * 3


ASKING: dict[str, Callable[[Tensor], object]] = {
    "item": lambda labels: labels.sum().item(),
    "truth": lambda labels: bool(labels.any()),
    "nonzero": lambda labels: labels.nonzero(),
    "cpu": lambda labels: labels.cpu(),
    "number": lambda labels: torch.tensor(1.0).to(labels.device),
}


@pytest.mark.parametrize("ask", ASKING.values(), ids=list(ASKING))
def test_one_more_question_to_the_gpu_is_seen(
    gpu: torch.device, ask: Callable[[Tensor], object]
) -> None:
    def asking(scores: Tensor, labels: Tensor) -> Tensor:
        ask(labels)
        return accept_all(scores, labels)

    placed = put(batch(0), gpu)
    with Waits() as waits:
        accumulate(stores(), **placed, gate=asking)
    assert set(waits.files()) == {"test_on_cuda.py"}


class Blocked(MemoryStore):
    """A store whose disk answers only when it may."""

    def __init__(self, header: Header, pairs: Pairs) -> None:
        super().__init__(header, pairs)
        self.may = threading.Event()

    def fuse(self, *arguments: Any, **settings: Any) -> None:
        assert self.may.wait(60)
        super().fuse(*arguments, **settings)


def test_a_training_waits_for_a_slow_disk_when_enough_batches_wait(
    gpu: torch.device, writer: WriterThread
) -> None:
    slow, here = Blocked(header_of(), PAIRS), MemoryStore(header_of(), PAIRS)
    steps: list[int] = []

    def training() -> None:
        for step in range(6):
            accumulate(slow, **put(batch(step), gpu), epoch=step, writer=writer)
            steps.append(step)

    thread = threading.Thread(target=training, daemon=True)
    thread.start()
    while len(steps) < 3 and thread.is_alive():  # one is being written, and two wait
        time.sleep(0.01)
    time.sleep(0.2)
    assert len(steps) == 3
    slow.may.set()
    thread.join(60)
    writer.drain()
    for step in range(6):
        accumulate(here, **batch(step), epoch=step)
    assert snapshot(slow) == snapshot(here)


class Full(MemoryStore):
    """A store whose disk is full."""

    def fuse(self, *_: Any, **__: Any) -> None:
        raise StoreError("disk is full")


def test_an_error_of_the_writer_is_raised_by_a_later_step(
    gpu: torch.device, writer: WriterThread
) -> None:
    full, placed = Full(header_of(), PAIRS), put(batch(0), gpu)

    def steps() -> None:
        for _ in range(1000):
            accumulate(full, **placed, writer=writer)
            time.sleep(0.01)

    with pytest.raises(StoreError, match="earlier training step could not be written: disk is"):
        steps()
