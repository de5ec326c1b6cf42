"""A training on a real CUDA GPU: what its callbacks wait for, its thread, and its resumption."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from tests.callbacks.test_resume import CrashError, assert_same_run, checkpoint, crash, kept
from tests.callbacks.test_writer_thread import Fails, Watch, writers
from tests.callbacks.tiny_run import FUSIONS, At, train
from tests.store.waits import Waits
from torch import Tensor

from oaa_pl.attention.gate import accept_all
from oaa_pl.callbacks.divergence import StopIfDiverged
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.errors import StoreError
from oaa_pl.store import accumulate as accumulation_of_a_batch
from oaa_pl.store.host_copy import HostCopy
from oaa_pl.store.reader import StoreReader

# Lightning warns of loaders on a large machine, and of a schedule whose first step in float16 was
# skipped because its gradients were too large.
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("one_thread", "repeatable"),
]

SOURCES = str(Path(__file__).parents[2] / "src")
STEPS = 4  # of an epoch: seven photos, two a step


@pytest.fixture
def repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise cuDNN may sum a gradient in another order each time."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


@pytest.fixture
def where(gpu: torch.device) -> dict[str, Any]:
    """Settings of a trainer that trains there."""
    return {"accelerator": "gpu" if gpu.type == "cuda" else gpu.type, "devices": 1}


class Label(Callback):
    """Tells which batch a wait belongs to; None: the rest of an epoch."""

    def __init__(self, waits: Waits) -> None:
        self.waits = waits

    def on_train_batch_start(self, trainer: Trainer, *arguments: Any) -> None:
        self.waits.label = arguments[-1]

    def on_validation_start(self, *_: Any) -> None:
        self.waits.label = None

    def on_train_epoch_end(self, *_: Any) -> None:
        self.waits.label = None


def ours(waits: Waits) -> list[tuple[object, str]]:
    """Batch and file of each wait in a step that the package asked for, not Lightning."""
    return [
        (wait.label, Path(wait.file).name)
        for wait in waits.all
        if wait.file.startswith(SOURCES) and wait.label is not None
    ]


def test_the_steps_wait_for_nothing_but_the_look_at_the_losses_at_an_epochs_end(
    tmp_path: Path, where: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[int] = []

    class Counted(HostCopy):
        def __init__(self, tensors: list[Tensor]) -> None:
            copies.append(len(tensors))
            super().__init__(tensors)

    monkeypatch.setattr(accumulation_of_a_batch, "HostCopy", Counted)
    with Waits() as waits:
        train(tmp_path, Label(waits), StopIfDiverged(), epochs=2, **where)
    assert ours(waits) == [(STEPS - 1, "divergence.py")] * 2
    assert len(copies) == 2 * STEPS


def test_a_gate_that_asks_the_gpu_is_seen_in_every_step(
    tmp_path: Path, where: dict[str, Any]
) -> None:
    def asking(scores: Tensor, labels: Tensor) -> Tensor:
        return accept_all(scores, labels) if labels.any() else labels

    with Waits() as waits:
        train(tmp_path, Label(waits), epochs=1, how={"gate": asking}, **where)
    asked = [wait.label for wait in waits.all if wait.file == __file__]
    assert asked == list(range(STEPS))


def test_a_thread_writes_the_stores_unless_told_otherwise_and_they_are_the_same(
    tmp_path: Path, where: dict[str, Any]
) -> None:
    watches = {}
    for name, how in (("default", {}), ("no thread", {"writer_thread": False})):
        watches[name] = Watch()
        train(tmp_path / name, watches[name], how=how, **where)
    assert set(watches["default"].steps) == {0, 1}
    assert set(watches["default"].epochs) == {0}  # when loaders fork their workers
    assert set(watches["no thread"].steps) == {0}
    assert writers() == []
    assert_same_run(tmp_path / "default", tmp_path / "no thread")


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_train_epoch_end"])
def test_crash_and_resume_equals_never_crashed(
    tmp_path: Path, where: dict[str, Any], hook: str, precision: str
) -> None:
    how = {**where, "precision": precision}
    train(tmp_path / "never", **how)
    with pytest.raises(CrashError, match="as planned"):
        train(tmp_path / "crashed", At(hook, 2, crash), **how)
    assert writers() == []
    train(tmp_path / "crashed", **how)
    assert_same_run(tmp_path / "crashed", tmp_path / "never")


def test_a_training_trains_on_the_gpu_and_continues_on_a_cpu(
    tmp_path: Path, where: dict[str, Any], gpu: torch.device
) -> None:
    train(tmp_path, epochs=2, **where)
    weights = torch.load(tmp_path / LAST, weights_only=True)["state_dict"].values()
    assert {tensor.device.type for tensor in weights} == {gpu.type}
    train(tmp_path, epochs=3)
    assert kept(tmp_path)["epoch"] == 2
    for name in FUSIONS:
        assert StoreReader(tmp_path / "stores" / name).generations()[-1] == 3


# Two stores a step, so the second epoch begins at 9.
@pytest.mark.parametrize("at", [11, 16], ids=["inside an epoch", "in its last step"])
def test_an_error_of_the_thread_ends_the_training_and_costs_that_epoch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: dict[str, Any], at: int
) -> None:
    fails = Fails(monkeypatch, at, StoreError("disk is full"))
    with pytest.raises(StoreError, match=r"earlier .* could not be written: disk is full"):
        train(tmp_path, **where)
    assert fails.after == 0
    assert writers() == []
    for name in FUSIONS:
        assert StoreReader(tmp_path / "stores" / name).generations() == [1]
    monkeypatch.undo()
    assert checkpoint(tmp_path)["epoch"] == 0


def test_ctrl_c_leaves_a_resumable_run(tmp_path: Path, where: dict[str, Any]) -> None:
    def press() -> None:
        signal.raise_signal(signal.SIGINT)

    train(tmp_path / "never", **where)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit, match=r"^1$"):
            train(tmp_path / "pressed", At("on_train_batch_end", 2, press), **where)
    finally:
        signal.signal(signal.SIGINT, before)
    assert writers() == []
    train(tmp_path / "pressed", **where)
    assert_same_run(tmp_path / "pressed", tmp_path / "never")
