import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torchvision.models import VGG16_Weights
from torchvision.models.vgg import cfgs, make_layers

from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.nets.deeplab import DeepLabLargeFov
from oaa_pl.nets.fully_connected import NAMES
from oaa_pl.nets.vgg import Vgg16Trunk

POOL4 = 23


@pytest.fixture(scope="module")
def trunk() -> Vgg16Trunk:
    torch.manual_seed(0)
    return Vgg16Trunk("none")


@pytest.fixture(scope="module")
def exact(trunk: Vgg16Trunk) -> Vgg16Trunk:
    """The same in double precision, where two ways to compute one thing differ by 1e-12 at most.

    In float32 the order of a convolution's sums differs between processors.
    """
    return copy.deepcopy(trunk).double()


def torchvision_layers(trunk: Vgg16Trunk) -> nn.Sequential:
    """torchvision's own VGG-16 features with the trunk's weights."""
    layers = make_layers(cfgs["D"], batch_norm=False).to(next(trunk.parameters()).dtype)
    layers.load_state_dict(trunk.features.state_dict())
    return layers


@pytest.mark.parametrize(
    ("size", "cells"), [((32, 48), (4, 6)), ((33, 55), (4, 6)), ((8, 63), (1, 7))]
)
def test_there_is_a_cell_for_every_whole_eight_pixels(
    trunk: Vgg16Trunk, size: tuple[int, int], cells: tuple[int, int]
) -> None:
    features = trunk(torch.zeros(2, 3, *size))
    assert features.shape == (2, trunk.out_channels, *cells)
    assert trunk.stride == 8


def test_up_to_pool4_it_is_torchvisions_network(exact: Vgg16Trunk) -> None:
    image = torch.randn(1, 3, 40, 48, dtype=torch.float64)
    expected = torchvision_layers(exact)[:POOL4](image)
    torch.testing.assert_close(exact.features[:POOL4](image), expected)


def test_pool4_keeps_every_cell(trunk: Vgg16Trunk) -> None:
    features = torch.randn(1, 512, 5, 6)
    assert torch.equal(trunk.features[POOL4](features), F.max_pool2d(features, 3, 1, 1))


def test_conv5_meets_the_samples_it_was_trained_on(exact: Vgg16Trunk) -> None:
    # Behind a pool4 that strides by 2, torchvision's conv5 sees every other cell of ours.
    dense = torch.randn(1, 512, 12, 16, dtype=torch.float64)
    coarse = torchvision_layers(exact)[POOL4 + 1 : -1](dense[..., ::2, ::2])
    torch.testing.assert_close(exact.features[POOL4 + 1 :](dense)[..., ::2, ::2], coarse)


def test_there_is_no_pool5(trunk: Vgg16Trunk) -> None:
    pools = [layer for layer in trunk.features if isinstance(layer, nn.MaxPool2d)]
    assert [pool.stride for pool in pools] == [2, 2, 2, 1]


@pytest.mark.parametrize(("freeze", "first"), [(0, 0), (2, 10), (5, None)])
def test_frozen_blocks_get_no_gradient(freeze: int, first: int | None) -> None:
    trunk = Vgg16Trunk("none", freeze=freeze)
    names = [name for name, p in trunk.named_parameters() if p.requires_grad]
    assert (names[0] if names else None) == (f"features.{first}.weight" if names else None)
    assert bool(names) == (first is not None)
    if names:
        trunk(torch.randn(1, 3, 8, 8)).sum().backward()
        assert all((p.grad is not None) == p.requires_grad for p in trunk.parameters())


def test_there_are_five_blocks_to_freeze() -> None:
    with pytest.raises(ConfigError, match="from 0 to 5, got 6"):
        Vgg16Trunk("none", freeze=6)


def test_channels_last_survives_the_trunk(trunk: Vgg16Trunk, exact: Vgg16Trunk) -> None:
    image = torch.randn(2, 3, 16, 16)
    assert trunk(image.contiguous(memory_format=torch.channels_last)).is_contiguous(
        memory_format=torch.channels_last
    )
    last = exact(image.double().contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, exact(image.double()), check_stride=False)


def test_a_file_with_torchvisions_names_is_loaded(tmp_path: Path, trunk: Vgg16Trunk) -> None:
    path = tmp_path / "vgg.safetensors"
    save_file({key: value.half() for key, value in trunk.state_dict().items()}, path)
    loaded = Vgg16Trunk(path)
    image = torch.randn(1, 3, 16, 16)
    # Weights of 11 bits, each off by up to 5e-4 of itself, through thirteen layers.
    torch.testing.assert_close(loaded(image), trunk(image), rtol=0.02, atol=0.02)


def test_a_file_for_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"features.0.weight": torch.ones(64, 3, 3, 3)}, path)
    with pytest.raises(WeightsError, match=r"do not fit Vgg16Trunk.*missing: features.0.bias"):
        Vgg16Trunk(path)


def test_imagenet_weights_give_features_of_the_size_that_the_heads_expect(
    vgg16_weights: Path,
) -> None:
    trunk = Vgg16Trunk(vgg16_weights).eval()
    assert {p.dtype for p in trunk.parameters()} == {torch.float32}
    image = torch.randn(1, 3, 64, 64) * 60  # the spread of a photo minus its mean, in 0..255
    with torch.no_grad():
        features = trunk(image)
        trunk, image = trunk.double(), image.double()
        expected = torchvision_layers(trunk)[:POOL4](image)
        torch.testing.assert_close(trunk.features[:POOL4](image), expected)
    assert 1 < features.pow(2).mean().sqrt() < 50  # wrongly normalised input gives 0.1


def whole_vgg(trunk: Vgg16Trunk, folder: Path, fill: float | None = None) -> Path:
    """torchvision's file of a whole VGG-16, with a classifier of 16 channels instead of 4096."""
    shapes = ((16, 512 * 49), (16,), (16, 16), (16,))
    state = {
        name: torch.randn(*shape) if fill is None else torch.full(shape, fill)
        for name, shape in zip(NAMES, shapes, strict=True)
    }
    last = {"classifier.6.weight": torch.randn(1000, 16), "classifier.6.bias": torch.randn(1000)}
    torch.save({**trunk.state_dict(), **state, **last}, folder / "vgg16.pth")
    return folder / "vgg16.pth"


def test_a_file_of_the_whole_network_gives_the_trunk_and_deeplabs_fc6_and_fc7(
    trunk: Vgg16Trunk, tmp_path: Path
) -> None:
    path = whole_vgg(trunk, tmp_path)
    net = DeepLabLargeFov(Vgg16Trunk(path), num_classes=3, hidden=8)
    assert torch.equal(net.trunk.features[0].weight, trunk.features[0].weight)
    state = torch.load(path, weights_only=True)
    square = state[NAMES[0]].view(16, 512, 7, 7)[::2, :, ::3, ::3]
    assert torch.equal(net.head[0].weight, square)
    assert torch.equal(net.head[3].weight[..., 0, 0], state[NAMES[2]][::2, ::2])
    assert "start from Vgg16Trunk's weights" in net.start


@pytest.mark.parametrize("published", [False, True])
def test_a_classifier_that_is_published_as_nan_is_not_used(
    trunk: Vgg16Trunk, tmp_path: Path, published: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = whole_vgg(trunk, tmp_path, torch.nan)
    if published:  # as torchvision's IMAGENET1K_FEATURES is
        state = torch.load(path, weights_only=True)
        monkeypatch.setattr(
            type(VGG16_Weights.IMAGENET1K_FEATURES), "get_state_dict", lambda *_, **__: state
        )
    net = DeepLabLargeFov(Vgg16Trunk("imagenet" if published else path), num_classes=3, hidden=8)
    assert torch.equal(net.trunk.features[0].weight, trunk.features[0].weight)
    assert "random numbers: of Vgg16Trunk's weights classifier.0.weight is not finite" in net.start
    assert all(bool(p.isfinite().all()) for p in net.parameters())


def test_a_trunk_alone_has_nothing_for_fc6_and_fc7(trunk: Vgg16Trunk, tmp_path: Path) -> None:
    save_file(trunk.state_dict(), tmp_path / "trunk.safetensors")
    for weights in ("none", tmp_path / "trunk.safetensors"):
        net = DeepLabLargeFov(Vgg16Trunk(weights), num_classes=3, hidden=8)
        assert "random numbers: of Vgg16Trunk's weights classifier.0.weight is missing" in net.start
