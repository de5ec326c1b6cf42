"""Trunks by name: the library's own features, strides, frozen blocks and weights."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from torchvision.models import get_model

from oaa_pl.config.compose import compose_group, register
from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.nets.named import NamedTrunk, input_statistics
from oaa_pl.nets.timm_trunk import TimmTrunk
from oaa_pl.nets.torchvision_trunk import TorchvisionTrunk

SMALL: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"depth": 2},
    "vit_small_patch14_reg4_dinov2": {"depth": 1, "img_size": 56},
    "swin_tiny_patch4_window7_224": {
        "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1), "embed_dim": 8,
    },
}  # fmt: skip


def trunk(library: str, name: str, **options: Any) -> NamedTrunk:
    if library == "torchvision":
        return TorchvisionTrunk(name, weights="none", **options)
    pytest.importorskip("timm", reason="needs the extra 'timm'")
    return TimmTrunk(name, weights="none", options=SMALL.get(name), **options)


def timm() -> Any:
    return pytest.importorskip("timm", reason="needs the extra 'timm'")


@pytest.mark.parametrize(
    ("library", "name", "stride"),
    [
        ("timm", "convnext_atto", 16),
        ("timm", "resnet18", 16),
        ("timm", "tf_efficientnet_lite0", 16),
        ("timm", "regnety_002", 16),
        ("timm", "mobilenetv3_small_050", 32),
        ("timm", "pvt_v2_b0", 32),
        ("timm", "swin_tiny_patch4_window7_224", 32),
        ("timm", "vit_tiny_patch16_224", 16),
        ("timm", "vit_small_patch14_reg4_dinov2", 14),
        ("torchvision", "resnet50", 16),
        ("torchvision", "resnet18", 32),
        pytest.param("torchvision", "densenet121", 32, marks=pytest.mark.slow),
        ("torchvision", "efficientnet_b0", 32),
    ],
)
def test_a_network_has_a_cell_for_every_stride_of_pixels(
    library: str, name: str, stride: int
) -> None:
    net = trunk(library, name).eval()
    with torch.no_grad():
        features = net(torch.zeros(1, 3, 4 * stride, 6 * stride))
    assert (net.stride, features.shape) == (stride, (1, net.out_channels, 4, 6))


@pytest.mark.parametrize(
    "stride", [8, *(pytest.param(n, marks=pytest.mark.slow) for n in (16, 32))]
)
def test_a_network_that_can_be_dilated_has_any_stride(stride: int) -> None:
    for library, name in (("timm", "convnext_atto"), ("torchvision", "resnet50")):
        assert trunk(library, name, stride=stride).stride == stride


@pytest.mark.parametrize(
    ("library", "name", "has"),
    [("timm", "vit_tiny_patch16_224", 16), ("torchvision", "resnet18", 32)],
)
def test_a_stride_that_a_network_does_not_have_is_refused(
    library: str, name: str, has: int
) -> None:
    with pytest.raises(ConfigError, match=rf"{name} has a stride of {has} .*net\.stride=null"):
        trunk(library, name, stride=8)


def test_timms_features_are_those_before_pooling() -> None:
    net = trunk("timm", "resnet18", stride=32).eval()
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(net(image), net.net.forward_features(image))


def test_a_transformers_features_are_its_patch_tokens() -> None:
    net = trunk("timm", "vit_small_patch14_reg4_dinov2").eval()
    image = torch.randn(1, 3, 28, 42)
    with torch.no_grad():
        tokens, features = net.net.forward_features(image), net(image)
    for row in range(2):
        for column in range(3):
            assert torch.equal(features[:, :, row, column], tokens[:, 5 + 3 * row + column])


@pytest.mark.slow
def test_torchvisions_features_give_its_scores() -> None:
    torch.manual_seed(0)
    full = get_model("densenet121", weights=None).eval()
    net = trunk("torchvision", "densenet121").eval()
    own = net.net.state_dict()
    net.net.load_state_dict({name: full.state_dict()[name] for name in own})
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(full.classifier(net(image).mean((2, 3))), full(image))


def stages(net: NamedTrunk) -> set[str]:
    trained = [name for name, p in net.named_parameters() if p.requires_grad]
    return {".".join(name.split(".")[1:3]) for name in trained}


def test_the_first_blocks_are_frozen_by_stage() -> None:
    frozen = stages(trunk("timm", "convnext_atto", freeze=2))
    assert frozen == {"stages.1", "stages.2", "stages.3"}
    assert stages(trunk("torchvision", "resnet18", freeze=4)) == {"layer4.0", "layer4.1"}
    left = stages(trunk("timm", "vit_tiny_patch16_224", freeze=2))
    assert left == {"blocks.1", "norm.weight", "norm.bias"}


@pytest.mark.parametrize(
    ("library", "name", "blocks"),
    [
        ("timm", "resnet18", 5),
        ("torchvision", "resnet18", 5),
        pytest.param("torchvision", "swin_t", 8, marks=pytest.mark.slow),
    ],
)
def test_all_blocks_are_the_whole_trunk(library: str, name: str, blocks: int) -> None:
    net = trunk(library, name, freeze=blocks)
    assert not [p for p in net.parameters() if p.requires_grad]
    with pytest.raises(ConfigError, match=f"number of blocks of {name} from 0 to {blocks}, got"):
        trunk(library, name, freeze=blocks + 1)


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("timm", "convnext_atto"),
        ("timm", "mobilenetv3_small_050"),
        ("torchvision", "resnet18"),
        pytest.param("torchvision", "vgg11", marks=pytest.mark.slow),
    ],
)
def test_every_trained_parameter_has_a_gradient(library: str, name: str) -> None:
    # A training in several processes waits for each of them.
    net = trunk(library, name)
    net(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.requires_grad and p.grad is None] == []


def test_frozen_batch_norms_stay_as_they_are() -> None:
    for freeze_norm in (True, False):
        net = trunk("timm", "resnet18", freeze_norm=freeze_norm)
        before = net.net.bn1.running_mean.clone()
        net(torch.randn(2, 3, 64, 64))
        assert torch.equal(net.net.bn1.running_mean, before) == freeze_norm


def full_network(library: str, name: str) -> nn.Module:
    if library == "torchvision":
        return get_model(name, weights=None)
    return timm().create_model(name, num_classes=11)


@pytest.mark.parametrize(
    ("library", "name"),
    [("timm", "convnext_atto"), ("timm", "resnet18"), ("torchvision", "resnet18")],
)
def test_a_file_of_the_whole_network_is_loaded_to_the_last_value(
    library: str, name: str, tmp_path: Path
) -> None:
    full, make = full_network(library, name), (TimmTrunk if library == "timm" else TorchvisionTrunk)
    torch.save(full.state_dict(), tmp_path / "full.pth")
    net = make(name, weights=tmp_path / "full.pth")
    state = full.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in net.net.state_dict().items())
    some = next(iter(net.net.state_dict()))
    torch.save({k: v for k, v in state.items() if k != some}, tmp_path / "less.pth")
    with pytest.raises(WeightsError, match=f"missing: {some}"):
        make(name, weights=tmp_path / "less.pth")


def test_weights_that_cannot_be_downloaded_are_a_named_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library, create = timm(), timm().create_model

    def offline(name: str, pretrained: bool = False, **options: Any) -> Any:
        if pretrained:
            raise OSError("no route to host")
        return create(name, **options)

    monkeypatch.setattr(library, "create_model", offline)
    with pytest.raises(WeightsError, match=r"resnet18 could not be downloaded \(OSError: no route"):
        TimmTrunk("resnet18")


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_name_that_a_library_does_not_have_is_refused_with_the_nearest(library: str) -> None:
    with pytest.raises(ConfigError, match=r"has no .*'convnext_tinny'; the nearest are convnext_t"):
        trunk(library, "convnext_tinny")


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("vit_tiny_patch16_224", (64, 72), r"images of 64 x 72 .* multiples of 16"),
        ("convnext_atto", (8, 64), r"cells of 16 pixels .* images of 8 x 64"),
    ],
)
def test_a_size_that_the_grid_does_not_allow_is_refused(
    name: str, size: tuple[int, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        trunk("timm", name)(torch.zeros(1, 3, *size))


def test_a_network_of_one_size_says_so() -> None:
    net = TorchvisionTrunk("vit_b_32", weights="none")
    with pytest.raises(ConfigError, match=r"vit_b_32 takes images of 224 x 224 pixels alone"):
        net(torch.zeros(1, 3, 256, 256))


def test_mean_and_std_are_the_records_of_the_weights() -> None:
    assert input_statistics("torchvision", "resnet18", "mean") == [0.485, 0.456, 0.406]
    timm()
    assert input_statistics("timm", "tf_efficientnet_lite0", "std") == [0.5, 0.5, 0.5]
    assert input_statistics("timm", "vit_base_patch16_clip_224.openai", "mean")[0] != 0.485
    with pytest.raises(ConfigError, match="known are timm and torchvision"):
        input_statistics("jax", "resnet18", "mean")


def test_a_configuration_takes_them_by_the_networks_name() -> None:
    timm()
    register()
    cfg = OmegaConf.create({"net": compose_group("net", "timm")})
    assert list(cfg.net.std) == [0.229, 0.224, 0.225]
    cfg.net.name = "tf_efficientnet_lite0"
    assert list(cfg.net.mean) == [0.5, 0.5, 0.5]


def test_timm_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"pip install 'oaa_pl\[timm\]'"):
        TimmTrunk("resnet18")


def test_options_that_a_network_does_not_have_are_refused() -> None:
    timm()
    with pytest.raises(ConfigError, match=r"timm cannot make resnet18 with .*'heads': 3"):
        TimmTrunk("resnet18", weights="none", options={"heads": 3})
