"""A checkpoint of ours holds the plain calls that make its module, and no pickled objects."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from tests.modules.tiny import OPTIMIZER, SCHEDULE, TinyNet, loader, quiet_trainer

from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.losses import hybrid_loss
from oaa_pl.modules.classifier import Classifier
from oaa_pl.modules.integral import IntegralAttention
from oaa_pl.modules.recipe import part
from oaa_pl.modules.segmenter import Segmenter

TRUNK = {"_target_": "oaa_pl.nets.small.SmallTrunk", "widths": [4, 4, 8], "stride": 4}
NET = {"_target_": "oaa_pl.nets.attention.AttentionNet", "trunk": TRUNK, "num_classes": 3,
       "hidden": 4}  # fmt: skip
DEEPLAB = {**NET, "_target_": "oaa_pl.nets.deeplab.DeepLabLargeFov", "num_classes": 4}
RECIPE: dict[str, Any] = {
    "net": NET,
    "optimizer": {"_target_": "oaa_pl.modules.optim.sgd", "_partial_": True, "lr": 0.05},
    "schedule": {"_target_": "oaa_pl.modules.optim.step_schedule", "_partial_": True, "at": [0.5]},
}
LOSS = {"_target_": "oaa_pl.losses.hybrid_loss", "_partial_": True}


def saved(module: LightningModule, path: Path) -> Path:
    trainer = quiet_trainer(path.parent)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path)
    return path


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (Classifier, {"num_classes": 3}),
        (IntegralAttention, {"loss": LOSS}),
        (Segmenter, {"net": DEEPLAB, "num_classes": 3}),
    ],
)
def test_a_module_is_loaded_from_its_checkpoint_alone(
    tmp_path: Path, kind: type[Any], more: dict[str, Any]
) -> None:
    first = kind(**{**RECIPE, **more})
    path = saved(first, tmp_path / "last.ckpt")
    again = kind.load_from_checkpoint(path, weights_only=True)
    assert type(again.net) is type(first.net)
    state = first.state_dict()
    assert all(torch.equal(state[name], value) for name, value in again.state_dict().items())
    assert again.hparams == first.hparams
    assert again.make_optimizer(again.net).param_groups[0]["lr"] > 0


def test_objects_are_recorded_by_the_recipe_beside_them(tmp_path: Path) -> None:
    module = Classifier(part(NET, "net"), OPTIMIZER, SCHEDULE, 3, True, recipe=RECIPE)
    path = saved(module, tmp_path / "last.ckpt")
    held = torch.load(path, weights_only=True)["hyper_parameters"]
    assert held == {**RECIPE, "num_classes": 3, "channels_last": True}
    again = Classifier.load_from_checkpoint(path, weights_only=True)
    assert again.memory_format == torch.channels_last


def test_objects_without_a_recipe_leave_the_checkpoint_as_it_was(tmp_path: Path) -> None:
    path = saved(Classifier(TinyNet(), OPTIMIZER, SCHEDULE, 3), tmp_path / "last.ckpt")
    assert "hyper_parameters" not in torch.load(path, weights_only=True)
    with pytest.raises(
        WeightsError, match=r"does not record its net.*load_from_checkpoint\(path, n"
    ):
        Classifier.load_from_checkpoint(path, weights_only=True)
    again = Classifier.load_from_checkpoint(
        path, net=TinyNet(seed=1), optimizer=OPTIMIZER, schedule=SCHEDULE, num_classes=3
    )
    assert torch.equal(again.net.head.weight, TinyNet().head.weight)


def test_a_foreign_call_in_a_checkpoint_is_refused_and_never_made(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    foreign = {"_target_": "pathlib.Path.touch", "_args_": [str(mark)]}
    recipe = {**RECIPE, "net": foreign}
    path = saved(Classifier(TinyNet(), OPTIMIZER, SCHEDULE, 3, recipe=recipe), tmp_path / "a.ckpt")
    with pytest.raises(ConfigError, match=r"checkpoint's net asks to call 'pathlib.*give it"):
        Classifier.load_from_checkpoint(path, weights_only=True)
    assert not mark.exists()


def test_a_part_that_cannot_be_made_is_named() -> None:
    with pytest.raises(WeightsError, match=r"the net cannot be made from its recipe.*hiden"):
        Classifier(**{**RECIPE, "net": {**NET, "hiden": 1}}, num_classes=3)


def test_a_loaded_module_trains_on(tmp_path: Path) -> None:
    small = {**NET, "trunk": {**TRUNK, "stride": 2}}
    path = saved(Classifier(**{**RECIPE, "net": small}, num_classes=3), tmp_path / "last.ckpt")
    module = Classifier.load_from_checkpoint(path)
    before = module.net.head[-1].weight.clone()
    quiet_trainer(tmp_path, max_epochs=1).fit(module, loader(), loader())
    assert not torch.equal(before, module.net.head[-1].weight)


def test_a_loss_may_be_given_as_an_object() -> None:
    module = IntegralAttention(TinyNet(), hybrid_loss, OPTIMIZER, SCHEDULE)
    assert module.loss is hybrid_loss
    assert not module.hparams
