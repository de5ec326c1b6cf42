"""Score maps of a LightningModule whose training step returns only its loss."""

import gc
import importlib
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader

from oaa_pl import AttentionAccumulation, AttentionStore
from oaa_pl.attention.gate import accept_all
from oaa_pl.callbacks.hook import HookedScoreMap
from oaa_pl.errors import ConfigError, UnfitNetworkError

C = 3
IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # Lightning's advice to the stranger
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.BatchNorm2d(5), nn.ReLU())
        self.layer4 = nn.Conv2d(5, 8, 3)
        self.fc = nn.Linear(8, C)

    def forward(self, image: Tensor) -> Tensor:
        # In place, as DenseNet does with the output that is hooked.
        return self.fc(torch.relu_(self.layer4(self.stem(image))).mean((2, 3)))


def oracle(net: Net, image: Tensor) -> Tensor:
    with torch.no_grad():
        cells = net.layer4(net.stem(image)).relu()
        maps = torch.zeros(len(image), C, *cells.shape[2:], dtype=cells.dtype)
        for row in range(cells.shape[2]):
            for column in range(cells.shape[3]):
                maps[:, :, row, column] = net.fc(cells[:, :, row, column])
    return maps


def stranger(package: ModuleType) -> Any:
    class Stranger(package.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model: Any = Net()
            self.plain = self.model

        def forward(self, image: Tensor) -> Tensor:
            return self.model(image)

        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            return self(batch).square().mean()

        def validation_step(self, batch: Tensor, batch_idx: int) -> None:
            self(batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            trained = [p for p in self.parameters() if p.requires_grad]
            return torch.optim.SGD(trained, lr=0.1)

    return Stranger()


def reader(package: ModuleType, **where: Any) -> Any:
    """A callback that reads each batch's map, and what the weights of its step give for it."""

    class Reader(package.Callback):
        def __init__(self) -> None:
            self.maps: list[Tensor] = []
            self.expected: list[Tensor] = []

        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            self.hook = HookedScoreMap(pl_module, **where)

        def on_train_batch_start(
            self, trainer: Any, pl_module: Any, batch: Tensor, batch_idx: int
        ) -> None:
            net = pl_module.plain
            norm = net.stem[1]
            kept = {key: value.clone() for key, value in norm.state_dict().items()}
            with trainer.precision_plugin.train_step_context():
                self.expected.append(oracle(net, batch))
            norm.load_state_dict(kept)

        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Tensor, batch_idx: int
        ) -> None:
            self.maps.append(self.hook.read())

        def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
            self.hook.remove()

    return Reader()


@pytest.fixture(params=["pytorch_lightning", "lightning.pytorch"])
def lightning(request: pytest.FixtureRequest) -> ModuleType:
    pytest.importorskip(request.param, reason="pip install lightning, the other package")
    return importlib.import_module(request.param)


def train(package: ModuleType, module: Any, callback: Any, **options: Any) -> None:
    trainer = package.Trainer(
        max_epochs=2, callbacks=[callback], accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        **options,
    )  # fmt: skip
    trainer.fit(module, DataLoader(IMAGES, batch_size=2), DataLoader(IMAGES, batch_size=3))


def check(callback: Any, **tolerance: float) -> None:
    assert len(callback.maps) == 6  # three batches in two epochs: no map of a validation
    for found, expected in zip(callback.maps, callback.expected, strict=True):
        assert not found.requires_grad
        torch.testing.assert_close(found, expected, **tolerance)


RELUED = {"layer": "model.layer4", "head": "model.fc"}


class Relued(Net):
    """The same network with its last ReLU as a layer of its own, to be named."""

    def __init__(self) -> None:
        super().__init__()
        self.layer4 = nn.Sequential(self.layer4, nn.ReLU())

    def forward(self, image: Tensor) -> Tensor:
        return self.fc(self.layer4(self.stem(image)).mean((2, 3)))


@pytest.mark.parametrize("where", [RELUED, {}], ids=["by name", "found by itself"])
def test_each_batchs_map_is_that_of_the_weights_it_was_scored_with(
    lightning: ModuleType, where: dict[str, str]
) -> None:
    torch.manual_seed(0)
    module, callback = stranger(lightning), reader(lightning, **where)
    if where:
        module.model = module.plain = Relued()
    train(lightning, module, callback)
    check(callback)
    assert not any(layer._forward_hooks for layer in module.modules())


def test_gradient_accumulation_gives_a_map_for_each_batch(lightning: ModuleType) -> None:
    callback = reader(lightning)
    train(lightning, stranger(lightning), callback, accumulate_grad_batches=2)
    check(callback)


def test_mixed_precision_gives_maps_of_its_precision(lightning: ModuleType) -> None:
    callback = reader(lightning)
    train(lightning, stranger(lightning), callback, precision="bf16-mixed")
    # The tangent of a linear layer rounds in another order than the layer itself.
    check(callback, rtol=0.05, atol=0.02)


def test_a_frozen_trunk_in_evaluation_mode_is_read_as_well(lightning: ModuleType) -> None:
    module, callback = stranger(lightning), reader(lightning)
    module.model.stem.requires_grad_(False).eval()
    module.model.layer4.requires_grad_(False).eval()
    train(lightning, module, callback)
    check(callback)


@pytest.mark.parametrize("where", [RELUED, {}], ids=["by name", "found by itself"])
def test_a_compiled_network_is_read_as_well(where: dict[str, str]) -> None:
    package = importlib.import_module("pytorch_lightning")
    module, callback = stranger(package), reader(package, **where)
    module.plain = Relued()
    module.model = torch.compile(module.plain, backend="eager")
    train(package, module, callback)
    check(callback)


@pytest.mark.parametrize(
    "layer", [pytest.param("model.layer4", marks=pytest.mark.slow), "model.stem"]
)
def test_compiled_code_that_ran_before_is_compiled_again_with_the_hook(layer: str) -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = torch.compile(Relued(), backend="aot_eager")

    for _ in range(2):  # the second network would get the first one's code
        net = Outer()
        net.model(IMAGES)
        hook = in_training(net, layer=layer)
        net.model(IMAGES)
        assert hook.read().shape == (6, 8, 5, 5) if layer.endswith("4") else (6, 5, 7, 7)
        hook.remove()
        net.model(IMAGES)
        with pytest.raises(ConfigError, match="did not run"):
            hook.read()


def test_one_compiled_graph_that_a_hook_would_divide_is_refused() -> None:
    net = nn.Sequential(torch.compile(Relued(), backend="eager", fullgraph=True))
    with pytest.raises(ConfigError, match=r"0\.layer4 is inside 0, .* fullgraph=True"):
        HookedScoreMap(net, "0.layer4", "0.fc")
    beside = nn.Sequential(nn.Conv2d(3, 3, 3), torch.compile(nn.ReLU(), fullgraph=True))
    assert HookedScoreMap(beside, "0").layer == "0"


def test_a_compiled_part_does_not_hide_the_classifier_around_it() -> None:
    net = Relued()
    net.layer4 = torch.compile(net.layer4, backend="eager")
    hook = in_training(net)
    net(IMAGES)
    assert hook.layer == "layer4"
    torch.testing.assert_close(hook.read(), oracle(net, IMAGES))


def test_a_named_layer_may_have_its_channels_last() -> None:
    class Last(Net):
        def forward(self, image: Tensor) -> Tensor:
            return self.fc(self.norm(self.layer4(self.stem(image)).movedim(1, 3)).mean((1, 2)))

        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(8)

    net = Last()
    hook = in_training(net, layer="norm", head="fc")
    net(IMAGES)
    cells = net.norm(net.layer4(net.stem(IMAGES)).movedim(1, 3))
    torch.testing.assert_close(hook.read(), net.fc(cells).movedim(3, 1).detach())


def in_training(net: nn.Module, **where: Any) -> HookedScoreMap:
    hook = HookedScoreMap(net, **where)
    net.train()
    return hook


def test_a_map_is_forgotten_once_it_is_read() -> None:
    net = Net()
    hook = in_training(net)
    net(IMAGES)
    score_map = hook.read()
    gone = weakref.ref(score_map)
    del score_map
    gc.collect()
    assert gone() is None
    with pytest.raises(ConfigError, match="layer4 did not run in this training step"):
        hook.read()


def test_only_the_current_batchs_map_is_kept() -> None:
    net = Net()
    hook = in_training(net)
    for _ in range(3):
        net(IMAGES)
        hook.drop()
    net(IMAGES[:2])
    assert len(hook.read()) == 2
    assert not [v for v in vars(hook).values() if isinstance(v, Tensor)]


def test_a_validation_in_between_leaves_the_map_alone() -> None:
    net = Net()
    hook = in_training(net)
    net(IMAGES[:2])
    net.eval()
    net(IMAGES)
    assert len(hook.read()) == 2


def test_two_views_in_one_step_are_an_error() -> None:
    net = Net()
    hook = in_training(net)
    net(IMAGES[:2])
    net(IMAGES[2:4])
    with pytest.raises(ConfigError, match=r"ran several times in one training step.*score_map="):
        hook.read()


def test_a_layer_that_is_run_again_in_the_backward_pass_counts_once() -> None:
    class Saving(Net):
        def forward(self, image: Tensor) -> Tensor:
            cells = checkpoint(self.layer4, self.stem(image), use_reentrant=False)
            return self.fc(cells.mean((2, 3)))

    net = Saving()
    hook = in_training(net, layer="layer4", head="fc")
    net(IMAGES).sum().backward()
    assert hook.read().shape == (6, C, 5, 5)


def test_a_layer_of_scores_needs_no_head() -> None:
    net = nn.Sequential(nn.Conv2d(3, C, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1))
    hook = in_training(net, layer="0")
    net(IMAGES)
    torch.testing.assert_close(hook.read(), net[0](IMAGES).detach())


def test_a_head_of_several_layers_is_applied_in_order() -> None:
    class Deep(Net):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Sequential(nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, C))

        def forward(self, image: Tensor) -> Tensor:
            return self.fc(self.layer4(self.stem(image)).mean((2, 3)))

    named, found = Deep(), Deep()
    found.load_state_dict(named.state_dict())
    maps = []
    for net, where in ((named, {"layer": "layer4", "head": "fc"}), (found, {})):
        hook = in_training(net, **where)
        net(IMAGES)
        maps.append(hook.read())
    torch.testing.assert_close(*maps)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"layer": "model.layer3"}, r"no layer 'model\.layer3'; the nearest are model\.layer4"),
        ({"layer": "layer4", "head": "model.fx"}, "no layer 'layer4'"),
        ({"layer": "model.layer4", "head": "model.fx"}, r"no layer 'model\.fx'.*model\.fc"),
        ({"head": "model.fc"}, "needs layer="),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(where: dict[str, str], message: str) -> None:
    module = nn.ModuleDict({"model": Net()})
    with pytest.raises(ConfigError, match=message):
        HookedScoreMap(module, **where)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"layer": "fc"}, r"'fc' must return one value for each cell.*got \(6, 3\).*layer='auto'"),
        ({"layer": "pair"}, r"'pair' must return one value for each cell.*got tuple"),
        (
            {"layer": "tokens", "head": "fc"},
            r"got \(6, 25, 8\); which cell a transf",
        ),
        (
            {"layer": "stem", "head": "fc"},
            r"cannot be applied to the cells of stem, \(2, 5, 111, 111\)",  # of the probe image
        ),
    ],
    ids=["behind the pooling", "a tuple", "tokens", "another layer's head"],
)
def test_a_layer_that_the_head_does_not_fit_is_refused(where: dict[str, str], message: str) -> None:
    class Pair(nn.Module):
        def forward(self, cells: Tensor) -> tuple[Tensor, Tensor]:
            return cells, cells

    class Tokens(nn.Module):
        def forward(self, cells: Tensor) -> Tensor:
            return cells.flatten(2).transpose(1, 2)

    class Odd(Net):
        def __init__(self) -> None:
            super().__init__()
            self.pair, self.tokens = Pair(), Tokens()

        def forward(self, image: Tensor) -> Tensor:
            cells, _ = self.pair(self.layer4(self.stem(image)))
            return self.fc(self.tokens(cells).mean(1))

    def first_step(net: nn.Module) -> None:
        HookedScoreMap(net, **where)
        net(IMAGES)

    with pytest.raises(ConfigError, match=message):
        first_step(Odd())


class Between(Net):
    """A network that does something between its last convolution and its head."""

    def __init__(self, step: nn.Module) -> None:
        super().__init__()
        self.step = step

    def forward(self, image: Tensor) -> Tensor:
        return self.fc(self.step(self.layer4(self.stem(image))).mean((2, 3)))


@pytest.mark.parametrize("step", [nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Hardswish()], ids=str)
@pytest.mark.parametrize("path", ["", "model.", "model._orig_mod."])
def test_a_layer_and_a_head_with_more_than_a_mean_between_them_are_refused(
    step: nn.Module, path: str
) -> None:
    net: nn.Module = Between(step)
    if path:
        net = torch.compile(net, backend="eager") if "_orig_mod" in path else net
        net = nn.ModuleDict({"model": net})  # without a forward, as a LightningModule may be
    before = {name: value.clone() for name, value in net.state_dict().items()}
    message = r"do not belong together: on a probe image the mean of their map is .* scores .* are"
    with pytest.raises(ConfigError, match=message):
        HookedScoreMap(net, f"{path}layer4", f"{path}fc")
    assert not any(layer._forward_hooks for layer in net.modules())
    torch.testing.assert_close(before, net.state_dict())


@pytest.mark.parametrize("step", [nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Dropout()], ids=str)
def test_a_layer_and_a_head_with_a_mean_between_them_fit(step: nn.Module) -> None:
    net = Between(step).train()
    state = torch.get_rng_state()
    hook = HookedScoreMap(net, "layer4", "fc")
    assert all(layer.training for layer in net.modules())
    assert torch.equal(state, torch.get_rng_state())
    net(IMAGES)
    assert hook.read().shape == (len(IMAGES), C, 5, 5)


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_a_head_that_the_network_applies_to_each_cell_fits(last: bool) -> None:
    class Cells(Net):
        def __init__(self) -> None:
            super().__init__()
            self.fc: nn.Module = nn.Linear(8, C) if last else nn.Conv2d(8, C, 1)

        def forward(self, image: Tensor) -> Tensor:
            cells = self.layer4(self.stem(image))
            if last:
                return self.fc(cells.movedim(1, 3)).mean((1, 2))
            return self.fc(cells).mean((2, 3))

    net = Cells()
    hook = in_training(net, layer="layer4", head="fc")
    scores = net(IMAGES)
    torch.testing.assert_close(hook.read().mean((2, 3)), scores.detach())


def test_a_layer_and_a_head_are_not_compared_where_no_probe_can_be_run() -> None:
    class Needy(Between):
        def forward(self, image: Tensor, more: Tensor | None = None) -> Tensor:
            if more is None:
                raise ValueError("needs more than an image")
            return super().forward(image)

    hook = in_training(Needy(nn.ReLU()), layer="layer4", head="fc")
    assert hook.layer == "layer4"


def test_a_module_without_a_classifier_is_refused_with_what_was_tried() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Linear(4, 4)

    with pytest.raises(UnfitNetworkError, match=r"give layer= and head=.*encoder: Linear cannot"):
        HookedScoreMap(Both())


class Photos(torch.utils.data.Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> dict[str, Any]:
        labels = torch.tensor([1.0, index % 2, (index + 1) % 2])
        return {"image": IMAGES[index], "labels": labels, "index": index}


def tagged(package: ModuleType, returns_map: bool = False) -> Any:
    """A stranger's module on batches with tags; one that returns its map, to compare with."""
    base = type(stranger(package))

    class Tagged(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            torch.manual_seed(0)
            super().__init__()
            self.model = Relued()
            self.seen: list[Tensor] = []

        def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Any:
            model = self.model
            cells = model.layer4(model.stem(batch["image"])) if returns_map else None
            if cells is None:
                return nn.functional.binary_cross_entropy_with_logits(
                    self(batch["image"]), batch["labels"]
                )
            maps = torch.einsum("cd,bdhw->bchw", model.fc.weight, cells)
            maps = maps + model.fc.bias[:, None, None]
            loss = nn.functional.binary_cross_entropy_with_logits(
                maps.mean((2, 3)), batch["labels"]
            )
            return {"loss": loss, "score_map": maps.detach()}

    return Tagged()


def accumulated(package: ModuleType, module: Any, folder: Any, **options: Any) -> Any:
    tags = torch.tensor([[1, i % 2, (i + 1) % 2] for i in range(len(IMAGES))]).numpy()
    store = AttentionStore(folder, [f"photo{i}" for i in range(6)], ["a", "b", "c"], tags)
    callback = AttentionAccumulation(store, accept_all, **options)
    trainer = package.Trainer(
        max_epochs=2, callbacks=[callback], accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(Photos(), batch_size=2))
    return [array for index in range(6) for array in store[index].values()]


WAYS: dict[str, dict[str, Any]] = {
    "named": RELUED,
    "found": {"layer": "auto"},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_module_unchanged_is_accumulated_as_one_that_returns_its_map(
    lightning: ModuleType, way: str, tmp_path: Path
) -> None:
    expected = accumulated(lightning, tagged(lightning, True), tmp_path / "returned")
    found = accumulated(lightning, tagged(lightning), tmp_path / way, **WAYS[way])
    assert any(array.any() for array in expected)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1 / 255 + 1e-6)  # maps of 8 bits


def test_a_function_gives_the_map_in_evaluation_mode(tmp_path: Path) -> None:
    package = importlib.import_module("pytorch_lightning")
    modes = []

    def score_map(module: Any, batch: dict[str, Tensor]) -> Tensor:
        modes.append((module.model.training, torch.is_grad_enabled()))
        return oracle(module.model, batch["image"])

    module = tagged(package)
    maps = accumulated(package, module, tmp_path / "store", score_map=score_map)
    assert modes == [(False, False)] * 6
    assert module.model.training
    assert any(array.any() for array in maps)


def test_a_layer_and_a_function_at_once_are_refused(tmp_path: Path) -> None:
    store = AttentionStore(tmp_path, ["photo"], ["a"], np.ones((1, 1), bool))
    with pytest.raises(ConfigError, match=r"layer= and head=, or score_map=, not both"):
        AttentionAccumulation(store, layer="model.layer4", score_map=lambda module, batch: IMAGES)
    with pytest.raises(ConfigError, match=r"head='fc' needs layer="):
        AttentionAccumulation(store, layer="auto", head="fc")
