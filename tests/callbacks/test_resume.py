"""Crash and resume equals never crashed, bit for bit: weights, optimiser, stores, log."""

import csv
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.callbacks.tiny_run import EPOCHS, FUSIONS, At, accumulation, data, pairs, train
from tests.modules.tiny import OPTIMIZER, SCHEDULE, TinyNet, quiet_trainer

from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.callbacks.checkpoint import AtomicCheckpointIO
from oaa_pl.callbacks.epoch_checkpoint import EpochCheckpoint
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.errors import StoreMismatchError
from oaa_pl.modules.classifier import Classifier
from oaa_pl.store.generation import seal_of
from oaa_pl.store.layout import Header
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader

ROOT = Path(__file__).parents[2]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def never_crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("never")
    train(folder)
    return folder


class CrashError(Exception):
    pass


def crash() -> None:
    raise CrashError("as planned")


def checkpoint(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(folder / LAST, map_location="cpu", weights_only=True)
    return content


def plain(value: Any) -> Any:
    """Tensors as bytes, so that nested values can be compared; paths and clocks left out."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), str(value.dtype), value.contiguous().view(-1).numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def kept(folder: Path) -> dict[str, Any]:
    """All of a checkpoint but what names the folder."""
    content = checkpoint(folder)
    content.pop("callbacks")
    content.pop("loops")
    compared: dict[str, Any] = plain(content)
    return compared


def files(folder: Path) -> dict[str, bytes]:
    """Every file but the checkpoint, the log, and the lock, which has the writer's process."""
    other = {LAST, "history.csv", "writer.lock"}
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in other
    }


def history(folder: Path) -> list[tuple[str, str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        rows = [(row["step"], row["name"], row["value"]) for row in csv.DictReader(file)]
    return [row for row in rows if row[1] != "train/images_per_second"]


def assert_same_run(folder: Path, other: Path) -> None:
    here, there = kept(folder), kept(other)
    assert here.keys() == there.keys()
    for part, value in there.items():
        assert here[part] == value, part
    assert files(folder) == files(other)
    assert history(folder) == history(other)


def test_the_same_training_twice_is_the_same(never_crashed: Path, tmp_path: Path) -> None:
    train(tmp_path)
    assert_same_run(tmp_path, never_crashed)


def test_a_checkpoint_names_the_generation_of_each_store(never_crashed: Path) -> None:
    named = {name: [EPOCHS, seal_of(never_crashed / "stores" / name, EPOCHS)] for name in FUSIONS}
    assert checkpoint(never_crashed)["oaa_generations"] == named
    assert checkpoint(never_crashed)["epoch"] == EPOCHS - 1
    updates = StoreReader(never_crashed / "stores" / "mean").rows["updates"]
    assert updates.max() == EPOCHS
    assert updates.min() > 0


HOOKS = [
    "on_train_epoch_start",
    "on_train_batch_start",
    "on_train_batch_end",
    "on_validation_batch_end",
    "on_train_epoch_end",
]


@pytest.mark.parametrize(
    ("hook", "epoch"), [*((hook, 2) for hook in HOOKS), (HOOKS[0], 0), (HOOKS[2], 0)]
)
def test_an_error_anywhere_in_an_epoch_costs_that_epoch_only(
    never_crashed: Path, tmp_path: Path, hook: str, epoch: int
) -> None:
    with pytest.raises(CrashError, match="as planned"):
        train(tmp_path, At(hook, epoch, crash))
    assert (tmp_path / LAST).is_file() == (epoch > 0)
    train(tmp_path)
    assert_same_run(tmp_path, never_crashed)


class FailingIO(AtomicCheckpointIO):
    """Fails when the given epoch's checkpoint is written: before, or as soon as it is there."""

    def __init__(self, epoch: int, written: bool) -> None:
        self.epoch, self.written = epoch, written

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        last = checkpoint["epoch"] == self.epoch
        if self.written or not last:
            super().save_checkpoint(checkpoint, path, storage_options)
        if last:
            raise CrashError("as planned")


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_a_commit_whose_checkpoint_was_never_written_is_rolled_back(
    never_crashed: Path, tmp_path: Path, epoch: int
) -> None:
    with pytest.raises(CrashError, match="as planned"):
        train(tmp_path, checkpoint_io=FailingIO(epoch, written=False))
    assert StoreReader(tmp_path / "stores" / "most").generation == epoch + 1
    train(tmp_path)
    assert_same_run(tmp_path, never_crashed)


@pytest.mark.parametrize("epoch", [0, 3])
def test_a_crash_right_after_a_checkpoint_goes_on_from_it(
    never_crashed: Path, tmp_path: Path, epoch: int
) -> None:
    with pytest.raises(CrashError, match="as planned"):
        train(tmp_path, checkpoint_io=FailingIO(epoch, written=True))
    train(tmp_path)
    assert kept(tmp_path) == kept(never_crashed)
    assert files(tmp_path) == files(never_crashed)
    # Lightning logs an epoch's means after its checkpoint: here they are lost, and only they.
    lost = set(history(never_crashed)) - set(history(tmp_path))
    assert {name for _, name, _ in lost} <= {"train/loss_epoch", "oaa/accepted"}
    assert set(history(tmp_path)) <= set(history(never_crashed))


def test_two_interruptions_are_no_worse_than_one(never_crashed: Path, tmp_path: Path) -> None:
    for epoch, hook in ((1, "on_train_batch_end"), (1, "on_train_epoch_end"), (3, HOOKS[0])):
        with pytest.raises(CrashError, match="as planned"):
            train(tmp_path, At(hook, epoch, crash))
    train(tmp_path)
    assert_same_run(tmp_path, never_crashed)


def test_ctrl_c_leaves_a_resumable_run(never_crashed: Path, tmp_path: Path) -> None:
    def press() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match=r"^1$"):
        train(tmp_path, At("on_train_batch_end", 2, press))
    train(tmp_path)
    assert_same_run(tmp_path, never_crashed)


@pytest.mark.parametrize(
    ("hook", "epoch"),
    [("on_train_batch_end", 2), pytest.param("replace", 1, marks=pytest.mark.slow)],
)
def test_a_killed_process_is_resumed_as_if_it_had_lived(
    never_crashed: Path, tmp_path: Path, hook: str, epoch: int
) -> None:
    command = [sys.executable, "-m", "tests.callbacks.tiny_run", str(tmp_path), hook, str(epoch)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert (tmp_path / LAST).is_file() == (epoch > 0)
    train(tmp_path)
    assert_same_run(tmp_path, never_crashed)


OTHER = {
    "fusion": ({"fusion": "running_mean"}, pairs()),
    "gate": ({"gate": "top_k"}, pairs()),
    "grid": ({"grid": (5, 7)}, pairs()),
    "image 2": ({}, replace(pairs(), ids=("a", "b", "C", "d", "e", "f", "g"))),
}


@pytest.mark.parametrize("what", OTHER)
def test_resuming_with_another_configuration_is_refused_by_name(tmp_path: Path, what: str) -> None:
    train(tmp_path, epochs=1)
    before = files(tmp_path)
    change, other = OTHER[what]

    header = Header(other.classes, other.fingerprint, (5, 6), "maximum", gate="accept_all")
    open_other = partial(
        MemmapStore, tmp_path / "stores" / "most", replace(header, **change), other
    )

    mean = accumulation(tmp_path).open_stores["mean"]
    trainer = quiet_trainer(
        tmp_path,
        max_epochs=2,
        enable_checkpointing=True,
        callbacks=[
            AttentionAccumulation({"most": open_other, "mean": mean}),
            EpochCheckpoint(tmp_path),
        ],
    )
    with pytest.raises(StoreMismatchError, match=f"(made with|its) {what}"):
        trainer.fit(
            Classifier(TinyNet(), OPTIMIZER, SCHEDULE, 3), data(), ckpt_path=tmp_path / LAST
        )
    assert files(tmp_path) == before
    train(tmp_path, epochs=2)


def test_a_finished_training_has_nothing_left_to_do(never_crashed: Path, tmp_path: Path) -> None:
    train(tmp_path)
    before = files(tmp_path)
    train(tmp_path)
    assert files(tmp_path) == before
    assert_same_run(tmp_path, never_crashed)


def test_a_shorter_training_can_be_prolonged(tmp_path: Path) -> None:
    trainer = train(tmp_path, epochs=2)
    assert trainer.current_epoch == 2
    trainer = train(tmp_path, epochs=3)
    assert StoreReader(tmp_path / "stores" / "mean").generation == 3
    assert StoreReader(tmp_path / "stores" / "mean").rows["updates"].max() == 3


def test_workers_change_nothing(never_crashed: Path, tmp_path: Path) -> None:
    train(tmp_path, workers=1)
    assert_same_run(tmp_path, never_crashed)
