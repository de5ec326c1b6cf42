from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import ResNet, resnet18, resnet50

from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.nets.resnet import ResNetTrunk


def features_of(net: ResNet, image: torch.Tensor) -> torch.Tensor:
    """A torchvision network without its pooling and classifier."""
    return nn.Sequential(*list(net.children())[:-2]).eval()(image)


def like(trunk: ResNetTrunk, net: ResNet) -> ResNet:
    classifier = {key: value for key, value in net.state_dict().items() if key.startswith("fc.")}
    net.load_state_dict(trunk.state_dict() | classifier)
    return net


@pytest.mark.parametrize(("depth", "width"), [(18, 512), (50, 2048)])
def test_there_is_a_cell_for_every_eight_pixels(depth: int, width: int) -> None:
    trunk = ResNetTrunk(depth, "none").eval()
    with torch.no_grad():
        assert trunk(torch.zeros(1, 3, 32, 41)).shape == (1, width, 4, 6)
    assert (trunk.out_channels, trunk.stride) == (width, 8)


# That two networks are the same one is tested in double precision: in float32 the order of a
# convolution's sums, which differs between layers of other strides and between processors, moves
# the features by more than any tolerance that would still see a wrong stride.
def test_depth_50_is_torchvisions_dilated_network() -> None:
    torch.manual_seed(0)
    trunk = ResNetTrunk(50, "none").eval()
    net = like(trunk, resnet50(replace_stride_with_dilation=[False, True, True])).double()
    trunk, image = trunk.double(), torch.randn(1, 3, 40, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(trunk(image), features_of(net, image))


def test_depth_18_sees_at_every_fourth_cell_what_torchvisions_strided_network_sees() -> None:
    torch.manual_seed(0)
    trunk = ResNetTrunk(18, "none").eval()
    net = like(trunk, resnet18()).double()
    trunk, image = trunk.double(), torch.randn(1, 3, 96, 128, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(trunk(image)[..., ::4, ::4], features_of(net, image))


@pytest.mark.parametrize("freeze_norm", [True, False])
def test_frozen_batch_norms_are_frozen_from_the_start(freeze_norm: bool) -> None:
    # Lightning trains a network as it is handed over, without calling its `train`.
    trunk = ResNetTrunk(18, "none", freeze_norm=freeze_norm)
    before = trunk.bn1.running_mean.clone()
    trunk(torch.randn(2, 3, 32, 32))
    assert torch.equal(trunk.bn1.running_mean, before) == freeze_norm


@pytest.mark.parametrize("freeze_norm", [True, False])
def test_batch_norms_follow_training_mode_only_if_not_frozen(freeze_norm: bool) -> None:
    trunk = ResNetTrunk(18, "none", freeze_norm=freeze_norm).train()
    before = trunk.bn1.running_mean.clone()
    trunk(torch.randn(2, 3, 32, 32))
    assert trunk.training
    assert torch.equal(trunk.bn1.running_mean, before) == freeze_norm


def test_frozen_blocks_get_no_gradient() -> None:
    trunk = ResNetTrunk(18, "none", freeze=2)
    names = [name for name, p in trunk.named_parameters() if p.requires_grad]
    assert {name.split(".")[0] for name in names} == {"layer2", "layer3", "layer4"}


def test_an_unknown_depth_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"one of \[18, 34, 50, 101\], got 19"):
        ResNetTrunk(19, "none")


def test_weights_for_another_depth_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    torch.save(ResNetTrunk(18, "none").state_dict(), path)
    ResNetTrunk(18, path)
    with pytest.raises(WeightsError, match=r"do not fit ResNetTrunk.*missing: layer1.0.bn3"):
        ResNetTrunk(50, path)


def test_a_file_of_the_whole_network_gives_the_trunk(tmp_path: Path) -> None:
    trunk = ResNetTrunk(18, "none")
    last = {"fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)}
    torch.save(trunk.state_dict() | last, tmp_path / "resnet18.pth")
    whole = ResNetTrunk(18, tmp_path / "resnet18.pth")
    assert torch.equal(whole.conv1.weight, trunk.conv1.weight)
