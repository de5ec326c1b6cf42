"""Folding changes no answer, and is left where it would."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from oaa_pl.nets.folded import folded


class Block(nn.Module):
    """A convolution whose output is used beside the norm as well, if `twice`."""

    def __init__(self, *, twice: bool = False) -> None:
        super().__init__()
        self.conv, self.norm, self.twice = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), twice

    def forward(self, image: Tensor) -> Tensor:
        raw: Tensor = self.conv(image)
        normed: Tensor = self.norm(raw)
        return normed.relu() + raw if self.twice else normed.relu()


def shared() -> nn.Module:
    """One convolution that runs twice, with a norm each time."""
    conv = nn.Conv2d(3, 3, 3)
    return nn.Sequential(conv, nn.BatchNorm2d(3), nn.ReLU(), conv, nn.BatchNorm2d(3))


def tied() -> nn.Module:
    """Two convolutions with one weight."""
    net = nn.Sequential(
        nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)
    )
    net[3].weight = net[0].weight
    return net


def norm_first() -> nn.Module:
    """A norm before any convolution, one behind an activation, one with the batch's statistics."""
    return nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1),
        nn.BatchNorm2d(4, track_running_stats=False),
    )  # fmt: skip


def two_norms() -> nn.Module:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.one, self.two = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

        def forward(self, image: Tensor) -> Tensor:
            raw = self.conv(image)
            both: Tensor = self.one(raw) - self.two(raw)
            return both

    return Two()


def trained(net: nn.Module) -> nn.Module:
    """With norms as a training leaves them: no constant is 0 or 1."""
    generator = torch.Generator().manual_seed(1)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for value in (layer.weight, layer.running_var):
                if value is not None:
                    value.data = torch.rand(value.shape, generator=generator) + 0.5
            for value in (layer.bias, layer.running_mean):
                if value is not None:
                    value.data = torch.randn(value.shape, generator=generator)
    return net.eval()


def norms(net: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in net.modules())


def plain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
        nn.Conv2d(6, 6, 3, groups=3), nn.BatchNorm2d(6, affine=False), nn.ReLU6(),
        nn.Conv2d(6, 2, 1),
    )  # fmt: skip


def lite() -> nn.Module:
    pytest.importorskip("timm")
    from oaa_pl.nets.lite import EfficientNetLiteTrunk

    return EfficientNetLiteTrunk(0, "none")


def resnet() -> nn.Module:
    from torchvision.models import resnet18

    net = resnet18()
    return nn.Sequential(*list(net.children())[:-2])


@pytest.mark.parametrize(
    ("made", "left"),
    [
        (plain, 0), (Block, 0), (lite, 0), (resnet, 0), (norm_first, 3), (shared, 2), (tied, 2),
        (two_norms, 2), (lambda: Block(twice=True), 1),
    ],
    ids=["plain", "block", "lite", "resnet", "norm first", "shared", "tied", "two norms", "twice"],
)  # fmt: skip
@torch.no_grad()
def test_answers_stay(made: Callable[[], nn.Module], left: int) -> None:
    net = trained(made())
    before = copy.deepcopy(net.state_dict())
    image = torch.randn(2, 3, 50, 70, generator=torch.Generator().manual_seed(2))
    expected = net(image)
    found = folded(net)
    assert norms(found) == left
    torch.testing.assert_close(found(image), expected, rtol=0, atol=1e-4 * float(expected.max()))
    assert not found.training
    for name, value in net.state_dict().items():  # the network itself is as it was
        assert torch.equal(value, before[name])


def test_a_network_that_does_not_run_on_noise_stays() -> None:
    net = trained(nn.Sequential(nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4)))
    assert folded(net) is net


def test_a_network_without_norms_stays() -> None:
    net = nn.Conv2d(3, 4, 3).eval()
    assert folded(net) is net


def test_the_random_state_stays() -> None:
    net = trained(plain())
    state = torch.get_rng_state()
    folded(net)
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_keep_their_memory_format() -> None:
    net = trained(plain()).to(memory_format=torch.channels_last)
    assert folded(net)[0].weight.is_contiguous(memory_format=torch.channels_last)
