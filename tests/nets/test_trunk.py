import pytest
import torch
from torch import nn

from oaa_pl.errors import ConfigError
from oaa_pl.nets.trunk import freeze_blocks, he_init, init_scores, trunk_channels, trunk_stride


def blocks() -> list[list[nn.Module]]:
    return [[nn.Conv2d(3, 4, 1), nn.ReLU()], [nn.Conv2d(4, 4, 1)], [nn.Conv2d(4, 4, 1)]]


def trained(block: list[nn.Module]) -> set[bool]:
    return {parameter.requires_grad for layer in block for parameter in layer.parameters()}


def test_the_width_of_a_trunk_is_its_own_word() -> None:
    trunk = nn.Identity()
    trunk.out_channels = 7
    assert trunk_channels(trunk) == 7


def test_the_stride_of_a_network_is_its_trunks_and_one_without_a_trunk() -> None:
    net = nn.Module()
    assert trunk_stride(net) == 1
    net.trunk = nn.Identity()
    net.trunk.stride = 4
    assert trunk_stride(net) == 4


@pytest.mark.parametrize("stride", [None, 0, (8, 8)])
def test_a_trunk_that_does_not_say_its_stride_is_refused(stride: object) -> None:
    net = nn.Module()
    net.trunk = nn.Identity()
    net.trunk.stride = stride
    with pytest.raises(ConfigError, match="positive integer `stride`, got Identity"):
        trunk_stride(net)


@pytest.mark.parametrize("width", [None, 0, "512"])
def test_a_trunk_that_does_not_say_its_width_is_refused(width: object) -> None:
    trunk = nn.Identity()
    trunk.out_channels = width
    with pytest.raises(ConfigError, match="positive integer `out_channels`, got Identity"):
        trunk_channels(trunk)


@pytest.mark.parametrize("freeze", [0, 1, 3])
def test_only_the_first_blocks_are_frozen(freeze: int) -> None:
    parts = blocks()
    freeze_blocks(parts, freeze)
    assert [trained(part) for part in parts] == [{i >= freeze} for i in range(3)]


@pytest.mark.parametrize("freeze", [-1, 4])
def test_more_blocks_than_there_are_cannot_be_frozen(freeze: int) -> None:
    with pytest.raises(ConfigError, match=f"from 0 to 3, got {freeze}"):
        freeze_blocks(blocks(), freeze)


def test_he_init_keeps_the_size_of_features_behind_a_relu() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(*(nn.Sequential(nn.Conv2d(64, 64, 3), nn.ReLU()) for _ in range(4)))
    he_init(net)
    features = torch.randn(4, 64, 24, 24).relu()
    ratio = net(features).pow(2).mean() / features.pow(2).mean()
    assert 0.5 < ratio < 2


def test_the_score_layer_is_drawn_with_the_deviation_that_is_asked_for() -> None:
    layer = nn.Conv2d(400, 50, 1)
    init_scores(layer, 0.05)
    assert layer.weight.std().item() == pytest.approx(0.05, rel=0.05)


def test_a_score_layer_without_spread_is_refused() -> None:
    with pytest.raises(ConfigError, match="score_std must be above 0, got 0"):
        init_scores(nn.Conv2d(4, 2, 1), 0)
