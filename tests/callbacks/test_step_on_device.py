"""What the callbacks of a training step ask of a device: one copy, for which nobody waits."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from tests.callbacks.tiny_run import FUSIONS, accumulation, data, pairs
from tests.store.device import StandIn, stand_in
from torch import Tensor

from oaa_pl.attention.view import identity_view
from oaa_pl.callbacks.divergence import StopIfDiverged
from oaa_pl.callbacks.growth import AttentionGrowth
from oaa_pl.callbacks.progress import StageProgress
from oaa_pl.callbacks.throughput import Throughput

LABELS = torch.from_numpy(pairs().labels).float()


class Module:
    """The part of a LightningModule that callbacks use; `training_step` is that of a test."""

    automatic_optimization = True

    def __init__(self) -> None:
        self.logged: list[Any] = []

    def log(self, name: str, value: Any, **_: Any) -> None:
        self.logged.append(value)


def trainer_of(callbacks: list[Callback]) -> Any:
    """The part of a Trainer that callbacks use."""
    return SimpleNamespace(
        callbacks=callbacks, current_epoch=0, global_step=0, global_rank=0, world_size=1,
        is_global_zero=True, is_last_batch=False, ckpt_path=None, max_steps=-1, max_epochs=1,
        num_training_batches=3, accumulate_grad_batches=1, callback_metrics={},
        strategy=SimpleNamespace(checkpoint_io=None, barrier=lambda: None), sanity_checking=False,
    )  # fmt: skip


def step(seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Outputs and batch; images 0 and 5 are watched."""
    index = torch.tensor([0, 5, 3])
    random = torch.Generator().manual_seed(seed)
    batch = {
        "labels": LABELS[index], "index": index, "view": identity_view(3),
        "repeat": torch.zeros(3, dtype=torch.bool),
    }  # fmt: skip
    return {
        "loss": torch.tensor(0.5), "score_map": torch.randn(3, 3, 5, 6, generator=random),
    }, batch  # fmt: skip


def run(folder: Path, there: StandIn | None, thread: bool | None = None) -> dict[str, Any]:
    """Three steps and the epoch's end; the stores and the growth that they make."""
    accumulate = accumulation(folder, writer_thread=thread)
    callbacks: list[Any] = [
        accumulate,
        AttentionGrowth(accumulate, [0, 5], folder / "growth", "most"),
        StopIfDiverged(),
        StageProgress("classifier"),
        Throughput(),
    ]
    module, trainer = Module(), trainer_of(callbacks)
    for hook in ("on_fit_start", "on_train_start", "on_train_epoch_start"):
        for callback in callbacks:
            getattr(callback, hook)(trainer, module)
    for number in range(3):
        outputs, batch = step(number)
        if there is not None:
            outputs = {name: there.place(value) for name, value in outputs.items()}
            batch |= {name: there.place(batch[name]) for name in ("labels", "view", "repeat")}
        for callback in callbacks:
            callback.on_train_batch_end(trainer, module, outputs, batch, number)
        assert there is None or len(there.copies) == number + 1
    stores = {name: accumulate.stores[name].state.copy() for name in FUSIONS}
    callbacks[1].on_train_epoch_end(trainer, module)
    grown = dict(np.load(folder / "growth" / "epoch-000.npz"))
    for callback in callbacks:
        callback.teardown(trainer, module, "fit")
    return stores | grown


@pytest.mark.parametrize("thread", [None, True, False], ids=["default", "thread", "no thread"])
def test_a_step_copies_once_and_makes_what_a_cpu_makes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, thread: bool | None
) -> None:
    expected = run(tmp_path / "cpu", None)
    with stand_in(monkeypatch, "cuda:0") as there:
        found = run(tmp_path / "cuda", there, thread)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name
    assert len(there.copies) == 3
    # Each step's copy was waited for, and at the epoch's end the maps of both watched images.
    assert there.waits == ["event"] * 3 + ["numpy"] * 2


def test_the_places_of_images_stay_on_the_host() -> None:
    batch = next(iter(data().train_dataloader()))
    moved = data().transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert moved["index"] is batch["index"]
    assert {value.device.type for name, value in moved.items() if name != "index"} == {"meta"}
