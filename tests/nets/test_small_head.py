import pytest
import torch
from torch import nn

from oaa_pl.errors import ConfigError
from oaa_pl.modules.optim import sgd
from oaa_pl.nets.small import SmallTrunk
from oaa_pl.nets.small_head import SmallHeadNet


def test_every_cell_gets_a_score_of_every_class() -> None:
    net = SmallHeadNet(SmallTrunk(widths=[4, 8], stride=2), num_classes=5, hidden=6).eval()
    with torch.no_grad():
        assert net(torch.zeros(2, 3, 16, 24)).shape == (2, 5, 8, 12)


def test_no_class_is_decided_before_training() -> None:
    torch.manual_seed(0)
    net = SmallHeadNet(SmallTrunk(widths=[4, 8], stride=2), num_classes=5)
    scores = net(torch.randn(4, 3, 32, 32))
    assert 0 < scores.std().item() < 1


def test_its_last_layer_is_the_one_to_the_classes() -> None:
    net = SmallHeadNet(SmallTrunk(widths=[4, 8], stride=2), num_classes=5)
    groups = {group["name"]: group for group in sgd(net, lr=1.0, fast="last").param_groups}
    assert isinstance(net.head[4], nn.Conv2d)
    (weight,) = groups["head_weight"]["params"]
    assert weight is net.head[4].weight


def test_a_trunk_without_width_is_refused() -> None:
    with pytest.raises(ConfigError, match="positive integer `out_channels`"):
        SmallHeadNet(nn.Identity(), num_classes=2)
