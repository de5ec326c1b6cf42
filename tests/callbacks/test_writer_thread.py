"""A training whose stores a thread writes makes what every other training makes, bit for bit."""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import Checkpoint
from tests.callbacks.test_resume import ROOT, CrashError, assert_same_run, crash
from tests.callbacks.test_several_processes import accumulate, assert_same_stores, run
from tests.callbacks.tiny_run import FUSIONS, THREADED, At, accumulation, data, train
from tests.modules.tiny import OPTIMIZER, SCHEDULE, TinyNet, quiet_trainer

from oaa_pl.callbacks.generations import GENERATIONS
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.errors import ConfigError, StoreError
from oaa_pl.modules.classifier import Classifier
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training whose stores are written in each step."""
    folder = tmp_path_factory.mktemp("without")
    train(folder)
    return folder


@pytest.fixture
def threaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREADED, "1")


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "oaa_pl store writer"]


class Watch(Callback):
    """Notes how many writer threads there are after each step, and at the end of each epoch."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.epochs: list[int] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.steps.append(len(writers()))

    def on_validation_start(self, *_: Any) -> None:
        self.epochs.append(len(writers()))

    def on_train_epoch_start(self, *_: Any) -> None:
        self.epochs.append(len(writers()))


@pytest.mark.usefixtures("threaded")
def test_the_run_is_the_same(without: Path, tmp_path: Path) -> None:
    watch = Watch()
    train(tmp_path, watch)
    assert_same_run(tmp_path, without)
    assert set(watch.steps) == {0, 1}  # none before the first step and after the last
    assert set(watch.epochs) == {0}  # when loaders fork their workers
    assert writers() == []


def test_on_a_cpu_no_thread_is_made_unless_it_is_asked_for(tmp_path: Path) -> None:
    watch = Watch()
    train(tmp_path, watch, epochs=1)
    assert set(watch.steps) == {0}


@pytest.mark.usefixtures("threaded")
@pytest.mark.parametrize(("hook", "epoch"), [("on_train_batch_end", 2), ("on_train_epoch_end", 1)])
def test_an_error_in_an_epoch_costs_that_epoch_only(
    without: Path, tmp_path: Path, hook: str, epoch: int
) -> None:
    with pytest.raises(CrashError, match="as planned"):
        train(tmp_path, At(hook, epoch, crash))
    assert writers() == []
    train(tmp_path)
    assert_same_run(tmp_path, without)


@pytest.mark.usefixtures("threaded")
def test_ctrl_c_leaves_a_resumable_run(without: Path, tmp_path: Path) -> None:
    def press() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match=r"^1$"):
        train(tmp_path, At("on_train_batch_end", 2, press))
    assert writers() == []
    train(tmp_path)
    assert_same_run(tmp_path, without)


@pytest.mark.slow
@pytest.mark.usefixtures("threaded")
@pytest.mark.parametrize(("hook", "epoch"), [("on_train_batch_end", 2), ("replace", 1)])
def test_a_killed_process_is_resumed_as_if_it_had_lived(
    without: Path, tmp_path: Path, hook: str, epoch: int
) -> None:
    command = [sys.executable, "-m", "tests.callbacks.tiny_run", str(tmp_path), hook, str(epoch)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    train(tmp_path)
    assert_same_run(tmp_path, without)


@pytest.mark.slow
@pytest.mark.usefixtures("threaded")
@pytest.mark.parametrize("launch", ["ddp_fork", "ddp_spawn"])
def test_two_processes_make_the_store_of_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, launch: str
) -> None:
    log, one, two = (tmp_path / name for name in ("log", "one", "two"))
    assert run(log, ["accumulate", str(two), launch, 2, True]) == 0, log.read_text()
    monkeypatch.delenv(THREADED)
    accumulate(str(one), "auto", 1, True)
    assert_same_stores(two, one)


class SaveOnException(Checkpoint):
    """As Lightning's OnExceptionCheckpoint, which warns at the start of each first training."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_exception(self, trainer: Trainer, *_: Any) -> None:
        trainer.save_checkpoint(self.path)


class Fails:
    """Stores whose disk is full at a step, and that note what is written after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, error: Exception) -> None:
        self.steps = self.after = 0
        real = MemmapStore.fuse

        def fuse(store: MemmapStore, *arguments: Any) -> None:
            self.steps += 1
            if self.steps == at:
                raise error
            self.after += self.steps > at
            real(store, *arguments)

        monkeypatch.setattr(MemmapStore, "fuse", fuse)


# Four steps an epoch, two stores a step: the second epoch begins at 9.
@pytest.mark.parametrize("at", [11, 16], ids=["inside an epoch", "in its last step"])
@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (StoreError("disk is full"), StoreError, "earlier .* could not be written: disk is full"),
        (OSError(5, "broken disk"), StoreError, "earlier .* could not be written: .*broken disk"),
        (IndexError("a defect"), IndexError, "a defect"),
    ],
    ids=["store", "system", "defect"],
)
def test_an_error_of_the_thread_ends_the_training_and_costs_that_epoch(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    at: int,
    error: Exception,
    raised: type[Exception],
    message: str,
) -> None:
    fails = Fails(monkeypatch, at, error)
    monkeypatch.setenv(THREADED, "1")
    with pytest.raises(raised, match=message):
        train(tmp_path, SaveOnException(tmp_path / "broken.ckpt"))
    assert fails.after == 0
    assert writers() == []
    named = torch.load(tmp_path / "broken.ckpt", weights_only=True)[GENERATIONS]
    assert named == dict.fromkeys(FUSIONS)  # it cannot be resumed: some of its maps are missing
    for name in FUSIONS:
        assert StoreReader(tmp_path / "stores" / name).generations() == [1]
    monkeypatch.undo()
    assert torch.load(tmp_path / LAST, weights_only=True)["epoch"] == 0


def test_reading_the_stores_of_a_running_training_sees_every_step(tmp_path: Path) -> None:
    seen: dict[bool, list[bytes]] = {}
    for thread in (False, True):
        callback = accumulation(
            tmp_path / str(thread), writer_thread=thread, to_attention=torch.sigmoid
        )
        states = seen[thread] = []

        class Look(Callback):
            def on_train_batch_end(self, *_: Any) -> None:
                states.append(callback.stores["mean"].state.tobytes())  # noqa: B023  # of this run

        torch.manual_seed(0)
        trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[callback, Look()])
        trainer.fit(Classifier(TinyNet(dropout=0), OPTIMIZER, SCHEDULE, 3), data())
    assert seen[True] == seen[False]
    assert len(set(seen[True])) == 4


@pytest.mark.parametrize("value", ["auto", 2, "true"])
def test_another_value_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ConfigError, match="writer_thread must be true, false or null, got"):
        accumulation(tmp_path, writer_thread=value)
