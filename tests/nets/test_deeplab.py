import pytest
import torch
from torch import nn

from oaa_pl.errors import ConfigError
from oaa_pl.nets.deeplab import DeepLabLargeFov


class Squeeze(nn.Module):
    """The least that is a trunk: every 8 x 8 pixels to one cell."""

    out_channels = 3
    stride = 8

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(image, self.stride)


@pytest.mark.parametrize("dilation", [1, 12])
def test_there_is_a_logit_for_every_class_and_cell(dilation: int) -> None:
    net = DeepLabLargeFov(Squeeze(), num_classes=21, hidden=16, dilation=dilation)
    assert net(torch.randn(2, 3, 40, 56)).shape == (2, 21, 5, 7)


def test_a_cell_sees_itself_and_what_lies_one_dilation_away() -> None:
    net = DeepLabLargeFov(Squeeze(), num_classes=2, hidden=32, dilation=3).eval()
    image = torch.randn(1, 3, 72, 72, requires_grad=True)
    net(image)[0, :, 4, 4].sum().backward()
    seen = nn.functional.avg_pool2d(image.grad.abs().sum(dim=1), 8)[0] > 0
    assert seen.nonzero().tolist() == [[r, c] for r in (1, 4, 7) for c in (1, 4, 7)]


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    net = DeepLabLargeFov(Squeeze(), num_classes=3, hidden=32, dropout=0.5)
    image = torch.randn(1, 3, 32, 32)
    assert not torch.equal(net(image), net(image))
    net.eval()
    assert torch.equal(net(image), net(image))


def test_fresh_logits_are_small() -> None:
    torch.manual_seed(0)
    net = DeepLabLargeFov(Squeeze(), num_classes=21, hidden=256, dilation=1).eval()
    assert 0.01 < net(torch.randn(8, 3, 32, 32)).std() < 0.3


def test_a_trunk_without_a_width_is_refused() -> None:
    with pytest.raises(ConfigError, match="out_channels"):
        DeepLabLargeFov(nn.Identity(), num_classes=2)
