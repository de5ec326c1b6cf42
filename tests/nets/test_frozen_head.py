import pytest
import torch
from torch import nn

from oaa_pl.errors import ConfigError
from oaa_pl.modules.optim import sgd
from oaa_pl.nets.frozen_head import FrozenHeadNet, FrozenTrunk, Standardise


class Trunk(nn.Sequential):
    """Two layers of one grid and a third of another, with batch norm; 6 channels at stride 2."""

    out_channels, stride = 6, 2

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 4, kernel_size=3, stride=2, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 6, kernel_size=1),
            nn.MaxPool2d(2),
            nn.Upsample(scale_factor=2),
        )


def test_features_are_the_joined_outputs_of_the_layers() -> None:
    trunk, image = Trunk().eval(), torch.randn(2, 3, 16, 24)
    frozen = FrozenTrunk(trunk, ["2", "3"])
    early = trunk[2](trunk[1](trunk[0](image)))
    assert frozen.out_channels == 10
    assert torch.equal(frozen(image), torch.cat([early, trunk[3](early)], dim=1))
    assert torch.equal(FrozenTrunk(trunk)(image), trunk(image))


def test_a_training_of_the_head_leaves_the_trunk_alone() -> None:
    net = FrozenHeadNet(Trunk(), num_classes=3, layers=["3"]).train()
    before = {name: value.clone() for name, value in net.trunk.state_dict().items()}
    optimizer = sgd(net, lr=0.1)
    for _ in range(3):
        net(torch.randn(4, 3, 16, 16)).square().mean().backward()
        optimizer.step()
    after = net.trunk.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert {group["name"] for group in optimizer.param_groups} == {"head_weight", "head_bias"}
    assert net.head.training
    assert not any(one.training for one in net.trunk.trunk.modules())


def test_the_whole_is_the_head_on_the_features() -> None:
    net = FrozenHeadNet(Trunk(), num_classes=3, layers=["2", "3"]).eval()
    image = torch.randn(2, 3, 16, 16)
    assert net(image).shape == (2, 3, 8, 8)
    assert torch.equal(net(image), net.head(net.trunk(image)))
    (last,) = (layer for name, layer in net.named_modules() if name in net.last_layers)
    assert last.out_channels == 3


def test_standardised_features_have_mean_0_and_deviation_1() -> None:
    features = 5 + 3 * torch.randn(7, 4, 6, 6)
    features[:, 3] = 2.5  # hardly varies
    layer = Standardise(4)
    layer.measure(features.half().split(2))
    seen = layer(features)
    assert torch.allclose(seen.mean((0, 2, 3)), torch.zeros(4), atol=1e-2)
    assert torch.allclose(seen[:, :3].std((0, 2, 3)), torch.ones(3), atol=1e-2)


def test_layers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"must name modules of Trunk, got 'head'; it has 0, 1"):
        FrozenTrunk(Trunk(), ["head"])
    with pytest.raises(ConfigError, match="one grid, got those of"):
        FrozenTrunk(Trunk(), ["3", "4"])
