"""Fixed padding gives what timm's computed padding gives, at every multiple of the stride."""

import pytest
import torch
from torch import nn

from oaa_pl.prediction.export.padding import with_fixed_padding


def network() -> nn.Module:
    """Stride 8: kernels of 3 and 5, one dilated."""
    layers = pytest.importorskip("timm.layers", reason="needs the extra 'timm'")
    torch.manual_seed(0)
    return nn.Sequential(
        layers.Conv2dSame(3, 4, 3, stride=2, bias=False), nn.ReLU(),
        layers.Conv2dSame(4, 4, 5, stride=2, groups=4), nn.ReLU(),
        layers.Conv2dSame(4, 4, 3, stride=1, dilation=2),
        layers.Conv2dSame(4, 2, 3, stride=2),
    ).eval()  # fmt: skip


def fixed_layers(net: nn.Module) -> int:
    return [type(layer).__name__ for layer in net.modules()].count("_Padded")


@torch.no_grad()
def test_fixed_padding_is_the_computed_one_at_every_multiple() -> None:
    computed, fixed = network(), with_fixed_padding(network(), 8)
    assert fixed_layers(fixed) == 4
    for height, width in ((8, 8), (16, 40), (72, 24), (64, 64), (88, 104)):
        image = torch.randn(2, 3, height, width)
        torch.testing.assert_close(fixed(image), computed(image), rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["avg", "max"])
def test_pools_are_padded_as_convolutions_are(kind: str) -> None:
    layers = pytest.importorskip("timm.layers", reason="needs the extra 'timm'")

    def pools() -> nn.Module:
        sizes = ((3, 2), (2, 1), (2, 2))
        return nn.Sequential(
            *(layers.create_pool2d(kind, *size, padding="same") for size in sizes)
        ).eval()

    computed, fixed = pools(), with_fixed_padding(pools(), 4)
    assert fixed_layers(fixed) == 3
    for height, width in ((4, 8), (64, 64), (68, 72)):
        image = torch.randn(2, 3, height, width) - 2  # a maximum of padded zeros would be seen
        torch.testing.assert_close(fixed(image), computed(image), rtol=0, atol=0)


def test_padding_that_depends_on_the_size_stays_computed() -> None:
    net = with_fixed_padding(network(), 4)  # the last layer sees odd and even sides
    assert fixed_layers(net) == 3


def test_a_network_without_such_layers_stays_as_it_is() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3))
    assert with_fixed_padding(net, 4) is net
    assert [type(layer) for layer in net] == [nn.Conv2d]
