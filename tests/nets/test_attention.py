import pytest
import torch
from torch import nn

from oaa_pl.errors import ConfigError
from oaa_pl.nets.attention import AttentionNet


class Squeeze(nn.Module):
    """The least that is a trunk: every 8 x 8 pixels to one cell."""

    out_channels = 3
    stride = 8

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(image, self.stride)


def test_there_is_a_score_for_every_class_and_cell() -> None:
    net = AttentionNet(Squeeze(), num_classes=20, hidden=16)
    assert net(torch.randn(2, 3, 40, 56)).shape == (2, 20, 5, 7)


def test_the_head_is_three_convolutions_and_the_class_scores() -> None:
    net = AttentionNet(Squeeze(), num_classes=20, hidden=16)
    shapes = [tuple(p.shape) for name, p in net.head.named_parameters() if "weight" in name]
    assert shapes == [(16, 3, 3, 3), (16, 16, 3, 3), (16, 16, 3, 3), (20, 16, 1, 1)]
    assert isinstance(net.head[-1], nn.Conv2d)  # scores are raw: no ReLU behind them


def test_without_layers_the_head_is_the_class_scores_alone() -> None:
    net = AttentionNet(Squeeze(), num_classes=20, layers=0)
    assert [tuple(p.shape) for p in net.head.parameters()] == [(20, 3, 1, 1), (20,)]
    with pytest.raises(ConfigError, match="layers must be 0 or more convolutions, got -1"):
        AttentionNet(Squeeze(), num_classes=20, layers=-1)


def test_trunk_and_head_share_all_parameters_between_them() -> None:
    net = AttentionNet(Squeeze(), num_classes=4, hidden=8)
    assert {name.split(".")[0] for name, _ in net.named_parameters()} == {"head"}
    assert isinstance(net.trunk, Squeeze)


def test_fresh_scores_are_small_so_that_no_probability_starts_at_its_end() -> None:
    torch.manual_seed(0)
    net = AttentionNet(Squeeze(), num_classes=20, hidden=256)
    assert 0.01 < net(torch.randn(8, 3, 32, 32)).std() < 0.3


def test_a_trunk_without_a_width_is_refused() -> None:
    with pytest.raises(ConfigError, match="out_channels"):
        AttentionNet(nn.Identity(), num_classes=2)
