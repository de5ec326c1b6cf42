import pytest
import torch
from torch import nn

from oaa_pl.errors import ConfigError
from oaa_pl.modules.optim import sgd
from oaa_pl.nets.deeplab import DeepLabLargeFov
from oaa_pl.nets.fully_connected import NAMES


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


class Pretrained(Squeeze):
    """A trunk whose weights go on behind it, as VGG-16's do."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.state = state

    def fully_connected(self) -> dict[str, torch.Tensor]:
        return self.state


def classifier_state(width: int = 16) -> dict[str, torch.Tensor]:
    shapes = ((width, 3 * 49), (width,), (width, width), (width,))
    return {name: torch.randn(*shape) for name, shape in zip(NAMES, shapes, strict=True)}


def test_fc6_and_fc7_start_from_the_trunks_weights() -> None:
    state = classifier_state()
    net = DeepLabLargeFov(Pretrained(state), num_classes=2, hidden=8)
    assert net.start == "fc6 and fc7 start from Pretrained's weights, decimated to 8 channels"
    assert torch.equal(net.head[0].bias, state[NAMES[1]][::2])
    assert torch.equal(net.head[3].weight[:, :, 0, 0], state[NAMES[2]][::2, ::2])


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({}, "classifier.0.weight is missing"),
        (classifier_state() | {NAMES[0]: torch.full((16, 147), torch.nan)}, "is not finite"),
    ],
)
def test_fc6_and_fc7_are_random_where_there_is_nothing_for_them_and_say_so(
    state: dict[str, torch.Tensor], reason: str
) -> None:
    torch.manual_seed(0)
    net = DeepLabLargeFov(Pretrained(state), num_classes=2, hidden=8)
    assert net.start.startswith("fc6 and fc7 start from random numbers: of Pretrained's weights")
    assert reason in net.start
    torch.manual_seed(0)
    plain = DeepLabLargeFov(Squeeze(), num_classes=2, hidden=8)
    for name, value in plain.state_dict().items():
        assert torch.equal(net.state_dict()[name], value)


def test_the_last_layer_is_the_one_that_makes_the_logits() -> None:
    net = DeepLabLargeFov(Squeeze(), num_classes=5, hidden=8)
    (name,) = net.last_layers
    assert net.get_submodule(name).out_channels == 5


def test_deeplab_trains_its_last_layer_alone_ten_times_as_fast() -> None:
    # Chen et al.: "0.001 (0.01 for the final classifier layer)".
    net = DeepLabLargeFov(Pretrained({}), num_classes=2, hidden=8)
    net.trunk.conv = nn.Conv2d(3, 3, 1)
    optimizer = sgd(net, lr=1e-3, rates=[1, 2, 10, 20], fast="last")
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    found = {name: rates[id(p)] for name, p in net.named_parameters()}
    assert found == pytest.approx(
        {
            "trunk.conv.weight": 1e-3, "trunk.conv.bias": 2e-3,
            "head.0.weight": 1e-3, "head.0.bias": 2e-3,
            "head.3.weight": 1e-3, "head.3.bias": 2e-3,
            "head.6.weight": 1e-2, "head.6.bias": 2e-2,
        }
    )  # fmt: skip
