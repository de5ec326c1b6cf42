"""SIGKILL at any instant costs what came after the last checkpoint: never a row, never a bit.

Children are forked from a server that has imported everything, so that one starts in an instant.
A kill comes after a random delay, or at an exact moment that the child is told to die at.
"""

import io
import itertools
import multiprocessing
import os
import pkgutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import chdir
from functools import partial, wraps
from pathlib import Path
from shutil import copytree
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from tests.callbacks.test_resume import ROOT, checkpoint, files, kept
from tests.callbacks.tiny_run import EPOCHS, FUSIONS, train

from oaa_pl.callbacks.checkpoint import AtomicCheckpointIO
from oaa_pl.callbacks.generations import GENERATIONS
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.store.generation import committed, seal_of
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.merge import merge_stores
from oaa_pl.store.reader import StoreReader
from oaa_pl.store.seal import row_checksums

pytestmark = pytest.mark.reliability

Tally = Callable[[str, int], None]
# What a child does to itself before it begins, so that it dies at an exact moment.
Arm = Callable[[], None]

PROCESSES = multiprocessing.get_context("forkserver")
# A child may be done before its kill: there are more runs and merges until as many have struck.
RUNS, MERGES, MOST = 25, 20, 100
# Much more than a child ever takes, so that one that hangs fails its test.
PATIENCE = 300


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_call(target: str, call: int, after: bool) -> None:
    """Die at a function's k-th call: before it, or when it is done and its caller does not know."""
    place, _, name = target.rpartition(".")
    owner = pkgutil.resolve_name(place)
    real, calls = getattr(owner, name), itertools.count(1)

    @wraps(real)
    def counted(*arguments: Any, **named: Any) -> Any:
        here = next(calls) == call
        if here and not after:
            die()
        outcome = real(*arguments, **named)
        if here:
            die()
        return outcome

    setattr(owner, name, counted)


class Torn(io.RawIOBase):
    """A file whose writer dies once that many bytes of it are written, or when it is whole."""

    def __init__(self, file: Any, left: int) -> None:
        self.file, self.left = file, left

    def fileno(self) -> int:
        descriptor: int = self.file.fileno()
        return descriptor

    def write(self, content: Any) -> int:
        content = bytes(content)
        self.file.write(content[: self.left])
        self.file.flush()
        self.left -= len(content)
        if self.left <= 0:
            die()
        return len(content)

    def close(self) -> None:
        die()


def die_in_file(folder: Path | None, number: int, written: int) -> None:
    """Die when the k-th file that is being written in a folder, or anywhere, has so many bytes.

    A file that is written as a whole has another name meanwhile, so that names tell nothing.
    """
    real, numbers = Path.open, itertools.count(1)

    def opened(self: Path, *arguments: Any, **named: Any) -> Any:
        file = real(self, *arguments, **named)
        written_to = "wb" in arguments and folder in (None, self.parent)
        return Torn(file, written) if written_to and next(numbers) == number else file

    Path.open = opened  # type: ignore[method-assign]


# How often each is called in two epochs, so that a kill here nearly always comes to pass.
MEMMAP, GENERATION = "oaa_pl.store.memmap.", "oaa_pl.store.generation."
TRAINING = {
    "oaa_pl.callbacks.accumulate.accumulate": 8,
    MEMMAP + "MemmapStore.fuse": 16,
    "oaa_pl.modules.classifier.Classifier.validation_step": 8,
    MEMMAP + "MemmapStore.roll_back": 2,
    MEMMAP + "open_generation": 2,
}
COMMIT = {
    MEMMAP + "MemmapStore.commit": 4,
    GENERATION + "save_array": 8,
    GENERATION + "write_text": 4,
    GENERATION + "sync_folder": 8,
    MEMMAP + "drop": 2,
    "pathlib.Path.rename": 4,
    "pathlib.Path.replace": 16,
    "os.fsync": 20,
}
CHECKPOINT = {
    "oaa_pl.callbacks.accumulate.AttentionAccumulation.on_save_checkpoint": 2,
    "oaa_pl.callbacks.checkpoint.AtomicCheckpointIO.save_checkpoint": 2,
    "oaa_pl.callbacks.checkpoint.torch.save": 2,
}
MERGE = {
    "oaa_pl.store.merge.StoreReader": 3,
    MEMMAP + "MemmapStore.absorb": 3,
    MEMMAP + "MemmapStore.commit": 1,
    MEMMAP + "MemmapStore.close": 1,
    GENERATION + "save_array": 2,
    GENERATION + "write_text": 1,
    "pathlib.Path.rename": 2,
    "pathlib.Path.replace": 5,
    "os.fsync": 8,
}


def drawn_call(calls: dict[str, int], random: np.random.Generator) -> Arm:
    target = list(calls)[random.integers(len(calls))]
    call, after = random.integers((calls[target], 2)).tolist()
    return partial(die_in_call, target, call + 1, bool(after))


def drawn_file(folder: Path | None, count: int, size: int, random: np.random.Generator) -> Arm:
    number, written = random.integers(1, (count, size), endpoint=True).tolist()
    return partial(die_in_file, folder, number, written)


def in_child(log: Path, arm: Arm | None, work: Callable[[], object]) -> None:
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    if arm is not None:
        arm()
    work()


class Life(NamedTuple):
    killed: bool
    seconds: float


def live(
    place: Path, work: Callable[[], object], arm: Arm | None = None, delay: float | None = None
) -> Life:
    """A child's life, until it is done, dies at its moment, or is killed after a delay."""
    log = place.with_suffix(".log")
    child = PROCESSES.Process(target=in_child, args=(log, arm, work), daemon=True)
    begun = time.monotonic()
    child.start()
    child.join(PATIENCE if delay is None else delay)
    seconds = time.monotonic() - begun
    child.kill()
    child.join()
    code = child.exitcode
    child.close()
    meant = arm is not None or delay is not None
    assert code == 0 or (meant and code == -signal.SIGKILL), f"{code}\n{log.read_text()[-3000:]}"
    return Life(code != 0, seconds)


@pytest.fixture(scope="module", autouse=True)
def server() -> None:
    PROCESSES.set_forkserver_preload([__name__])
    # Before Python 3.13 the server does not get our `sys.path`, and takes no notice of an import
    # that fails: it finds the tests in its working directory.
    with chdir(ROOT):
        look = f"import sys; sys.exit({__name__!r} not in sys.modules)"
        child = PROCESSES.Process(target=exec, args=(look,))
        child.start()
        child.join(PATIENCE)
    assert child.exitcode == 0, "the server has not imported the tests"


class Keeping(AtomicCheckpointIO):
    """Keeps a copy of the whole run as of each checkpoint, by the number of finished epochs."""

    def __init__(self, run: Path, copies: Path) -> None:
        self.run, self.copies = run, copies

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        super().save_checkpoint(checkpoint, path, storage_options)
        copytree(self.run, self.copies / str(checkpoint["epoch"] + 1))


def train_keeping(run: Path, copies: Path) -> None:
    train(run, checkpoint_io=Keeping(run, copies))


class Reference(NamedTuple):
    """The run that was never killed.

    Attributes:
        run: its folder, as it ends.
        copies: what the folder was as of each checkpoint.
        seconds: how long such a run takes.
    """

    run: Path
    copies: Path
    seconds: float


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("never")
    run, copies = folder / "run", folder / "copies"
    live(run, partial(train_keeping, run, copies))
    again = live(folder / "again", partial(train, folder / "again"))
    return Reference(run, copies, again.seconds)


def stores(run: Path) -> dict[str, list[int]]:
    """The generations that each store has committed."""
    return {name: committed(run / "stores" / name) for name in FUSIONS}


def named(run: Path) -> dict[str, tuple[int, str]]:
    """The generation and seal of each store that the checkpoint names: none if there is none."""
    if not (run / LAST).is_file():
        return dict.fromkeys(FUSIONS, (0, ""))
    content = checkpoint(run)
    return {name: (number, seal) for name, (number, seal) in content[GENERATIONS].items()}


def rows_lost(run: Path, reference: Reference) -> int:
    """Rows of any committed generation that are not the uninterrupted run's at that epoch."""
    lost = 0
    for name, numbers in stores(run).items():
        for number in numbers:
            mine = StoreReader(run / "stores" / name, number)
            true = StoreReader(reference.copies / str(number) / "stores" / name, number)
            same = (mine.state == true.state).all(axis=(1, 2, 3)) & (mine.rows == true.rows)
            whole = row_checksums(mine.state, mine.rows) == mine.rows["checksum"]
            lost += int((~same | ~whole).sum())
    return lost


def assert_resumable(run: Path, reference: Reference) -> int:
    """The checkpoint is one of the uninterrupted run's, and what it names is there.

    Returns:
        Finished epochs.
    """
    there = stores(run)
    for name, (number, seal) in named(run).items():
        if number:
            assert number in there[name], f"{run}: generation {number} of {name} is gone"
            assert seal_of(run / "stores" / name, number) == seal
    if not (run / LAST).is_file():
        return 0
    epochs: int = checkpoint(run)["epoch"] + 1
    assert {number for number, _ in named(run).values()} == {epochs}
    assert kept(run) == kept(reference.copies / str(epochs))
    return epochs


def on_disk(run: Path) -> str:
    """What the kill left, which tells where it struck."""
    if any(run.glob(".*.partial")):
        return "half a checkpoint"
    if any(run.glob("stores/*/generations/*.partial")):
        return "half a generation"
    if any(run.glob("stores/*/generations/*.dropped")):
        return "a generation half dropped"
    newest = {name: max(numbers, default=0) for name, numbers in stores(run).items()}
    ahead = [name for name, (number, _) in named(run).items() if newest[name] > number]
    if ahead:
        return f"{len(ahead)} of 2 stores ahead of the checkpoint"
    return "nothing half done"


def drawn_kill(
    run: Path, random: np.random.Generator, epochs: int, reference: Reference
) -> tuple[Arm | None, float | None]:
    """An exact moment, or a delay within what the run has still to do."""
    way = random.integers(11)
    if way < 6:
        left = reference.seconds * (EPOCHS + 1 - epochs) / (EPOCHS + 1)
        return None, float(random.uniform(0, left))
    if way == 6:
        # The checkpoint, twice: its file is the only one that is written like this in the run's own
        # folder.
        return drawn_file(run, 2, (reference.run / LAST).stat().st_size, random), None
    if way == 7:  # either store has a live file, and three files in each epoch
        return drawn_file(None, 14, 3000, random), None
    return drawn_call((TRAINING, COMMIT, CHECKPOINT)[way - 8], random), None


def test_a_training_killed_again_and_again_ends_as_if_it_had_lived(
    never_killed: Reference, tmp_path: Path, tally: Tally
) -> None:
    lost, equal, timed, struck = 0, 0, 0, Counter[str]()
    for number in range(MOST):
        if number >= RUNS and struck.total() >= 120 and timed >= 60:
            break
        run, random = tmp_path / str(number), np.random.default_rng([17, number])
        epochs, kills, planned = 0, 0, random.integers(3, 7)
        while kills < planned:
            arm, delay = drawn_kill(run, random, epochs, never_killed)
            if not live(run, partial(train, run), arm, delay).killed:
                break
            kills += 1
            timed += arm is None
            struck[on_disk(run)] += 1
            lost += rows_lost(run, never_killed)
            epochs = assert_resumable(run, never_killed)
        else:
            live(run, partial(train, run))
        assert kept(run) == kept(never_killed.run), f"run {number}"
        assert files(run) == files(never_killed.run), f"run {number}"
        equal += kills > 0
    for what, count in struck.items():
        tally(f"SIGKILLs survived in training that left {what}", count)
    tally("SIGKILLs survived", struck.total())
    tally("SIGKILLs survived, after a random delay", timed)
    tally("rows lost", lost)
    tally("resumed runs bit-equal", equal)
    assert lost == 0
    assert equal >= 20
    assert struck.total() >= 120
    assert timed >= 60
    assert len(struck) >= 5


IMAGES, GRID = 150, (32, 32)


def part(folder: Path, seed: int, fusion: str) -> Path:
    """A store with three random maps in each of half of its rows."""
    random = np.random.default_rng(seed)
    labels = np.ones((IMAGES, 3), bool)
    pairs = Pairs(tuple(f"image-{n}" for n in range(IMAGES)), ("cat", "dog", "cow"), labels)
    header = Header(pairs.classes, pairs.fingerprint, GRID, fusion)
    with MemmapStore(folder, header, pairs) as store:
        for epoch in range(3):
            index, category = pairs.pairs[random.random(len(pairs.pairs)) < 0.5].T
            maps = random.random((len(index), *GRID), dtype=np.float32)
            store.fuse(index, category, maps, epoch=epoch)
        store.commit()
    return folder


@pytest.mark.parametrize("fusion", ["maximum", "running_mean"])
def test_a_killed_merge_is_whole_or_done_again(fusion: str, tmp_path: Path, tally: Tally) -> None:
    parts = [part(tmp_path / f"part-{seed}", seed, fusion) for seed in range(3)]
    sound = [files(folder) for folder in parts]
    true = tmp_path / "true"
    seconds = live(true, partial(merge_stores, true, parts)).seconds
    kills, timed, again = 0, 0, 0
    for number in range(MOST):
        if number >= MERGES and timed >= 20:
            break
        into, random = tmp_path / str(number), np.random.default_rng([19, number])
        work = partial(merge_stores, into, parts)
        for _ in range(2):
            arm, delay = drawn_merge_kill(random, seconds)
            if into.exists() or not live(into, work, arm, delay).killed:
                break
            kills += 1
            timed += arm is None
            assert not into.exists() or files(into) == files(true), f"merge {number}"
            assert [files(folder) for folder in parts] == sound
        if not into.exists():
            live(into, work)
            again += 1
        assert files(into) == files(true), f"merge {number}"
        StoreReader(into)
    tally("SIGKILLs survived", kills)
    tally("SIGKILLs survived, after a random delay", timed)
    tally("SIGKILLs survived in merging", kills)
    assert timed >= 20
    assert 0 < again < number


def drawn_merge_kill(
    random: np.random.Generator, seconds: float
) -> tuple[Arm | None, float | None]:
    way = random.integers(4)
    if way < 2:
        return None, float(random.uniform(0, seconds))
    # The header, the list of images, the live maps, and a generation's three files.
    return drawn_file(None, 6, 100_000, random) if way == 2 else drawn_call(MERGE, random), None
