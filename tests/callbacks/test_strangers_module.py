"""A stranger's LightningModule, unchanged, under what strangers train with."""

import copy
import gc
import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from oaa_pl import AttentionAccumulation, AttentionStore
from oaa_pl.attention.cam import class_attention
from oaa_pl.attention.gate import accept_all
from oaa_pl.callbacks.hook import HookedScoreMap

C, N = 3, 8
TAGS = np.array([[1, i % 2, (i + 1) % 2] for i in range(N)])
WAYS: dict[str, dict[str, Any]] = {
    "found": {"layer": "auto"},
    "named": {"layer": "model.body", "head": "model.fc"},
}

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # Lightning's advice to the stranger
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.usefixtures("one_thread"),
]


class Photos(Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(index))
        return {"image": image, "labels": torch.tensor(TAGS[index]).float(), "index": index}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU())
        self.fc = nn.Linear(8, C)

    def forward(self, image: Tensor) -> Tensor:
        return self.fc(self.body(image).mean((2, 3)))


class Stranger(LightningModule):
    """It returns its loss, and knows nothing of score maps."""

    def __init__(self, lr: float = 0.1, network: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model: Any = network or Net()
        self.lr = lr

    def forward(self, image: Tensor) -> Tensor:
        return self.model(image)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(self(batch["image"]), batch["labels"])

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self(batch["image"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.SGD(trained, lr=self.lr)


def maps_of(
    folder: Path, module: LightningModule, *callbacks: Callback, how: Any = None, **options: Any
) -> list[np.ndarray]:
    """The cumulative maps of a training, of every image and tag."""
    store = store_at(folder)
    accumulation = AttentionAccumulation(store, accept_all, **(how or {"layer": "auto"}))
    trainer = Trainer(
        callbacks=[*callbacks, accumulation], accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        **{"max_epochs": 2} | options,
    )  # fmt: skip
    batches = DataLoader(Photos(), batch_size=2 if options.get("devices", 1) == 1 else 1)
    trainer.fit(module, batches, batches)
    return [one for image in range(N) for one in store_at(folder)[image].values()]


def store_at(folder: Path) -> AttentionStore:
    return AttentionStore(folder, [f"photo{i}" for i in range(N)], ["a", "b", "c"], TAGS)


def assert_alike(maps: list[np.ndarray], others: list[np.ndarray], atol: float) -> None:
    assert any(one.any() for one in maps)
    for one, other in zip(maps, others, strict=True):
        np.testing.assert_allclose(one, other, atol=atol)


def test_averaged_weights_in_validation_leave_the_maps_of_training_alone(tmp_path: Path) -> None:
    callbacks = pytest.importorskip("pytorch_lightning.callbacks.weight_averaging")
    plain = maps_of(tmp_path / "plain", Stranger())
    averaged = callbacks.WeightAveraging(use_buffers=True)
    assert_alike(maps_of(tmp_path / "averaged", Stranger(), averaged), plain, atol=0)


class Averaging(Callback):
    """Somebody's own moving average: a copy of the hooked network, which is run in training."""

    def __init__(self) -> None:
        self.average: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.average = torch.optim.swa_utils.AveragedModel(pl_module.model)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        self.average.train()
        with torch.no_grad():
            self.average(torch.rand(3, 3, 16, 16))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.average.update_parameters(pl_module.model)


@pytest.mark.parametrize("way", WAYS)
def test_an_averaged_copy_of_the_hooked_network_is_not_read(tmp_path: Path, way: str) -> None:
    plain = maps_of(tmp_path / "plain", Stranger(), how=WAYS[way])
    torch.manual_seed(0)
    assert_alike(maps_of(tmp_path / "copy", Stranger(), Averaging(), how=WAYS[way]), plain, atol=0)


def test_a_copy_of_a_hooked_network_keeps_nothing() -> None:
    network = Net().train()
    hook = HookedScoreMap(network)
    copied = copy.deepcopy(network)
    (inside,) = (one.__self__ for part in copied.modules() for one in part._forward_hooks.values())
    image = torch.rand(2, 3, 16, 16)
    copied(image)
    assert inside is not hook
    assert not [v for v in vars(inside).values() if isinstance(v, Tensor)]
    network(image)
    assert hook.read().shape == (2, C, 7, 7)


@pytest.mark.parametrize("way", WAYS)
def test_no_map_outlives_its_batch(tmp_path: Path, way: str) -> None:
    seen: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    class Watch(Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            gc.collect()
            alive.append(sum(one() is not None for one in seen))

    def to_attention(score_map: Tensor) -> Tensor:
        seen.append(weakref.ref(score_map))
        return class_attention(score_map)

    maps_of(tmp_path, Stranger(), Watch(), how={**WAYS[way], "to_attention": to_attention})
    assert len(seen) == len(alive) == 8
    assert alive == [0] * 8


@pytest.mark.parametrize(
    "options",
    [{"precision": "bf16-mixed"}, {"accumulate_grad_batches": 3}, {"gradient_clip_val": 0.5}],
    ids=str,
)
def test_a_trainers_settings_are_accumulated_under(tmp_path: Path, options: dict[str, Any]) -> None:
    # With weights that never change, all settings show the same maps, up to rounding.
    plain = maps_of(tmp_path / "plain", Stranger(lr=0.0))
    assert_alike(maps_of(tmp_path / "set", Stranger(lr=0.0), **options), plain, atol=0.03)


def test_a_frozen_trunk_is_accumulated(tmp_path: Path) -> None:
    frozen = Stranger(lr=0.0)
    frozen.model.body.requires_grad_(False).eval()
    maps = maps_of(tmp_path, frozen)
    assert any(one.any() for one in maps)
    assert not frozen.model.body.training


BACKENDS = [
    "eager",
    "aot_eager",
    pytest.param(
        "inductor",
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a compiler"),
        ],
    ),
]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_compiled_network_is_accumulated_as_one_that_is_not(tmp_path: Path, backend: str) -> None:
    plain = maps_of(tmp_path / "plain", Stranger())
    compiled = Stranger()
    compiled.model = torch.compile(compiled.model, backend=backend)
    # A compiler may round in another order.
    assert_alike(maps_of(tmp_path / "compiled", compiled), plain, atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_two_processes_accumulate_what_one_does(tmp_path: Path, way: str) -> None:
    network = Net()
    network.body[1].eval()  # the statistics of a batch would depend on its size
    network.body.requires_grad_(False)
    alone = maps_of(tmp_path / "one", Stranger(0.0, network), how=WAYS[way])
    both = maps_of(
        tmp_path / "two", Stranger(0.0, network), how=WAYS[way], strategy="ddp_spawn", devices=2
    )
    assert_alike(both, alone, atol=0.01)  # a convolution rounds as its batch's size demands
