import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from oaa_pl.nets.fully_connected import NAMES, decimate, why_unfit

CHANNELS, WIDTH = 3, 16


def published(width: int = WIDTH, channels: int = CHANNELS) -> dict[str, Tensor]:
    """A classifier with torchvision's names: fc6 over 7 x 7 places, fc7, and the last layer."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    shapes = ((width, channels * 49), (width,), (width, width), (width,))
    state = {name: draw(*shape) for name, shape in zip(NAMES, shapes, strict=True)}
    return state | {"classifier.6.weight": draw(1000, width), "classifier.6.bias": draw(1000)}


@pytest.mark.parametrize("hidden", [4, 8, 6, 16])
def test_decimated_layers_are_the_whole_ones_with_the_rest_set_to_zero(hidden: int) -> None:
    state = published()
    kept = [i * WIDTH // hidden for i in range(hidden)]
    dropped = [i for i in range(WIDTH) if i not in kept]
    thin = {name: value.clone() for name, value in state.items()}
    places = thin[NAMES[0]].view(WIDTH, CHANNELS, 7, 7)
    for at in (1, 2, 4, 5):  # all but the first, the middle and the last row and column
        places[:, :, at] = 0
        places[:, :, :, at] = 0
    thin[NAMES[2]][:, dropped] = 0
    features = torch.randn(2, CHANNELS, 7, 7, dtype=torch.float64)
    hidden6 = F.relu(F.linear(features.flatten(1), thin[NAMES[0]], thin[NAMES[1]]))
    expected = F.linear(hidden6, thin[NAMES[2]], thin[NAMES[3]])[:, kept]

    fc6, fc7 = decimate(state, hidden)
    assert fc6["weight"].shape == (hidden, CHANNELS, 3, 3)
    assert fc7["weight"].shape == (hidden, hidden, 1, 1)
    # Three cells apart, the nine places are those that the whole layer saw there.
    cell = F.relu(F.conv2d(features, fc6["weight"], fc6["bias"], dilation=3))
    seen = F.conv2d(cell, fc7["weight"], fc7["bias"])
    torch.testing.assert_close(seen[:, :, 0, 0], expected)


def test_a_quarter_of_the_channels_is_every_fourth() -> None:
    state = published()
    fc6, fc7 = decimate(state, WIDTH // 4)
    assert torch.equal(fc6["bias"], state[NAMES[1]][::4])
    assert torch.equal(fc7["bias"], state[NAMES[3]][::4])


@pytest.mark.parametrize(
    ("change", "channels", "hidden", "reason"),
    [
        ({}, CHANNELS, WIDTH, ""),
        ({NAMES[2]: None}, CHANNELS, 4, "classifier.3.weight is missing"),
        ({NAMES[0]: None}, CHANNELS, 4, "classifier.0.weight is missing"),
        ({NAMES[3]: torch.full((WIDTH,), torch.nan)}, CHANNELS, 4, "classifier.3.bias is not fin"),
        ({NAMES[1]: torch.tensor(1.0)}, CHANNELS, 4, "is (16, 147), not (1, 147)"),
        ({}, CHANNELS + 1, 4, r"classifier.0.weight is (16, 147), not (16, 196)"),
        ({NAMES[2]: torch.ones(20, WIDTH)}, CHANNELS, 4, "classifier.3.weight is (20, 16), not"),
        ({}, CHANNELS, WIDTH + 1, "has 16 channels, fewer than the expected 17"),
    ],
)
def test_what_cannot_be_used_is_named(
    change: dict[str, Tensor | None], channels: int, hidden: int, reason: str
) -> None:
    state = {name: value for name, value in (published() | change).items() if value is not None}
    found = why_unfit(state, channels, hidden)
    assert reason in found
    assert bool(found) == bool(reason)
