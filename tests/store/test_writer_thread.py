import multiprocessing
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.store.contract import EVERY_FUSION, PAIRS, header_of, snapshot
from tests.store.device import stand_in
from torch import Tensor

from oaa_pl.errors import ShapeError, StoreError
from oaa_pl.store.accumulate import accumulate
from oaa_pl.store.base import MapStore
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.memory import MemoryStore
from oaa_pl.store.writer_thread import WriterThread

LABELS = torch.from_numpy(PAIRS.labels).float()
PATIENCE = 60  # seconds, after which a test has failed; nothing waits so long


def batch(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    index = torch.randint(0, 4, (5,), generator=random)
    return torch.randn(5, 3, 3, 4, generator=random), LABELS[index], index


def stores() -> list[MemoryStore]:
    return [MemoryStore(header_of(label), PAIRS) for label in EVERY_FUSION]


def snapshots(fed: list[MemoryStore]) -> list[tuple[bytes, bytes]]:
    return [snapshot(store) for store in fed]


class Slow(MemoryStore):
    """A store whose every write waits for a word."""

    def __init__(self) -> None:
        super().__init__(header_of(), PAIRS)
        self.go, self.written = threading.Semaphore(0), 0

    def fuse(self, *arguments: object) -> None:
        if not self.go.acquire(timeout=PATIENCE):
            raise TimeoutError
        self.written += 1


def go_on(step: Callable[[], object]) -> None:
    """Train until the thread's error is noticed: in the next step, once the thread has run."""
    for _ in range(10_000):
        step()


def full_disk() -> None:
    raise StoreError("the disk is full")


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_the_stores_are_those_of_writing_at_once(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """For rules that depend on the order of the maps, too."""
    here, beside, writer = stores(), stores(), WriterThread(most=2)
    with stand_in(monkeypatch, "cuda:0") as there:
        for step in range(12):
            score_map, labels, index = batch(step)
            accumulate(here, score_map, labels, index, epoch=step)
            if device != "cpu":
                score_map = there.place(score_map)
            accumulate(beside, score_map, labels, index, epoch=step, writer=writer)
            if step % 5 == 4:
                writer.drain()
                assert snapshots(beside) == snapshots(here)
        writer.drain()
    assert snapshots(beside) == snapshots(here)
    assert set(there.waits) == ({"event"} if device != "cpu" else set())


def test_the_training_does_not_wait_for_a_write() -> None:
    slow, writer = Slow(), WriterThread(most=2)
    accumulate(slow, *batch(0), writer=writer)
    assert slow.written == 0
    slow.go.release()
    writer.drain()
    assert slow.written == 1


def test_a_full_queue_makes_the_training_wait_instead_of_growing() -> None:
    slow, writer, steps = Slow(), WriterThread(most=2), []

    def train() -> None:
        for step in range(6):
            accumulate(slow, *batch(0), writer=writer)
            steps.append(step)

    training = threading.Thread(target=train)
    training.start()
    for written in range(4):
        # One is being written and two wait; the next waits for its place.
        while len(steps) < written + 3:
            training.join(0.01)
        training.join(0.05)  # time for too many
        assert len(steps) == written + 3
        slow.go.release()
    slow.go.release(2)
    training.join(PATIENCE)
    writer.drain()
    assert slow.written == len(steps) == 6


def test_an_error_is_raised_at_the_next_step_with_its_cause() -> None:
    writer, done = WriterThread(), threading.Event()
    writer.put(full_disk)
    writer.put(done.set)
    with pytest.raises(StoreError, match="earlier training step could not be written: the disk"):
        go_on(lambda: writer.put(lambda: None))
    with pytest.raises(StoreError, match="the disk is full") as caught:
        writer.drain()
    assert str(caught.value.__cause__) == "the disk is full"
    assert not done.is_set()


def test_nothing_is_written_after_an_error() -> None:
    fed, writer = stores()[:1], WriterThread()
    accumulate(fed, *batch(0), writer=writer)
    writer.drain()
    before = snapshots(fed)
    score_map, _, index = batch(1)
    accumulate(fed, score_map.abs(), torch.ones(5, 3), index, writer=writer)  # tags of no image
    with pytest.raises(StoreError, match=r"could not be written: image .* has no tag"):
        go_on(lambda: accumulate(fed, *batch(2), writer=writer))
    with pytest.raises(StoreError, match="has no tag"):
        writer.drain()
    writer.stop()
    assert snapshots(fed) == before


def test_an_error_of_another_kind_is_raised_as_it_is() -> None:
    writer = WriterThread()
    writer.put(partial(int, "a defect"))
    with pytest.raises(ValueError, match="a defect"):
        writer.drain()


def test_what_does_not_need_the_device_is_refused_in_its_own_step() -> None:
    writer = WriterThread()
    with pytest.raises(ShapeError, match="index must be 5 whole numbers"):
        accumulate(stores(), *batch(0)[:2], torch.arange(3), writer=writer)
    writer.drain()


def test_stopping_leaves_what_still_waits() -> None:
    slow, writer = Slow(), WriterThread(most=4)
    for _ in range(4):
        accumulate(slow, *batch(0), writer=writer)
    threading.Timer(0.2, slow.go.release).start()
    writer.stop()
    assert slow.written == 1


def test_no_thread_is_left_after_draining_and_none_is_made_for_nothing() -> None:
    before, writer = threading.active_count(), WriterThread()
    writer.drain()
    for _ in range(3):
        writer.put(lambda: None)
        assert threading.active_count() == before + 1
        writer.drain()
        assert threading.active_count() == before


@pytest.mark.usefixtures("stops_at_ctrl_c")
@pytest.mark.parametrize("goes_on", [False, True], ids=["ends", "goes on"])
def test_an_interrupted_drain_loses_nothing(goes_on: bool) -> None:
    slow, writer = Slow(), WriterThread(most=4)
    for _ in range(3):
        accumulate(slow, *batch(0), writer=writer)
    main = threading.main_thread().ident
    if main is None:
        raise RuntimeError("the main thread has no number")
    threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        writer.drain()
    slow.go.release(4)
    if goes_on:
        accumulate(slow, *batch(0), writer=writer)
    writer.drain()
    assert slow.written == 3 + goes_on


def _in_a_fork(writer: WriterThread, found: "multiprocessing.SimpleQueue[str]") -> None:
    try:
        writer.put(lambda: None)
    except StoreError as error:
        found.put(str(error))
    writer.drain()
    writer.stop()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # the case tested
def test_a_fork_is_refused_instead_of_waiting_for_a_thread_that_it_lacks() -> None:
    forking = multiprocessing.get_context("fork")
    writer, found = WriterThread(), forking.SimpleQueue()
    writer.put(lambda: None)
    child = forking.Process(target=_in_a_fork, args=(writer, found))
    child.start()
    child.join(PATIENCE)
    assert child.exitcode == 0
    assert "thread of another process" in found.get()
    writer.drain()


def test_a_commit_after_draining_is_that_of_writing_at_once(tmp_path: Path) -> None:
    def made(folder: str, writer: WriterThread | None) -> MapStore:
        store = MemmapStore(tmp_path / folder, header_of(), PAIRS)
        for step in range(6):
            accumulate(store, *batch(step), epoch=step, writer=writer)
            if writer is not None:
                writer.drain()
            if step % 2:
                store.commit()
        store.close()
        return store

    made("at once", None)
    made("beside", WriterThread())
    files = [
        {path.relative_to(tmp_path / folder): path.read_bytes()
         for path in sorted((tmp_path / folder).rglob("*")) if path.is_file()}
        for folder in ("at once", "beside")
    ]  # fmt: skip
    assert files[0] == files[1]
