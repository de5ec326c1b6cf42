import pytest
import torch
from torch import nn

from oaa_pl.errors import ConfigError
from oaa_pl.nets.attention import AttentionNet
from oaa_pl.nets.small import SmallTrunk


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_features_are_as_wide_as_the_last_layer_and_smaller_by_the_stride(stride: int) -> None:
    trunk = SmallTrunk((8, 8, 16, 16, 24), stride=stride)
    assert (trunk.out_channels, trunk.stride) == (24, stride)
    assert trunk(torch.rand(2, 3, 32, 48)).shape == (2, 24, 32 // stride, 48 // stride)


def test_a_cell_sees_nineteen_pixels_with_four_layers_at_stride_four() -> None:
    # In evaluation mode the normalisation mixes no pixels; the gradient shows what a cell sees.
    trunk = SmallTrunk().eval()
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    trunk(image)[0, :, 8, 8].sum().backward()
    assert image.grad is not None
    seen = image.grad.abs().sum(dim=(0, 1)) > 0
    rows = seen.any(dim=1).nonzero()
    assert int(rows.max() - rows.min()) + 1 <= 19


def test_every_layer_learns() -> None:
    net = AttentionNet(SmallTrunk((8, 8, 8)), num_classes=3, hidden=8)
    net(torch.rand(4, 3, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.trunk.parameters())


def test_the_normalisation_can_be_replaced() -> None:
    trunk = SmallTrunk((8, 8, 8), norm=lambda width: nn.GroupNorm(4, width))
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in trunk.modules())
    assert trunk(torch.rand(1, 3, 8, 8)).shape == (1, 8, 2, 2)


@pytest.mark.parametrize("stride", [0, 1, 3, 16])
def test_an_impossible_stride_is_refused(stride: int) -> None:
    with pytest.raises(ConfigError, match=f"stride must be 2, 4 or 8, got {stride}"):
        SmallTrunk(stride=stride)


@pytest.mark.parametrize(("widths", "stride"), [((8, 8), 4), ((8, 8, 8, 8), 8), ((), 2)])
def test_too_few_widths_for_the_stride_are_refused(widths: tuple[int, ...], stride: int) -> None:
    with pytest.raises(ConfigError, match=rf"widths must be .* for stride {stride}"):
        SmallTrunk(widths, stride=stride)


def test_a_width_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="widths must be"):
        SmallTrunk((8, 0, 8))
