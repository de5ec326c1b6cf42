"""Maps by torchcam: as the library makes them, with the network's own scores for the gate."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.callbacks.test_strangers_module import Net, Stranger, maps_of
from torch import Tensor, nn

from oaa_pl.attention.cam import class_attention
from oaa_pl.callbacks.torchcam_maps import TorchcamMaps, torchcam_maps
from oaa_pl.errors import ConfigError, UnfitNetworkError

pytest.importorskip("torchcam", reason="needs the extra 'cam'")

IMAGE = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


def grad_cam(net: Any, category: int) -> Tensor:
    """Selvaraju et al., Eqs. (1) and (2), in loops."""
    features = net.body(IMAGE).detach().requires_grad_()
    scores = net.fc(features.mean((2, 3)))
    (gradient,) = torch.autograd.grad(scores[:, category].sum(), features)
    maps = torch.zeros(len(IMAGE), *features.shape[2:])
    for image in range(len(IMAGE)):
        for channel in range(features.shape[1]):
            maps[image] += gradient[image, channel].mean() * features[image, channel].detach()
    return maps.clamp(min=0)


def test_grad_cam_is_its_equation_and_the_scores_are_the_networks() -> None:
    net = network()
    scores, maps = torchcam_maps(net, IMAGE, [0, 2], "body", "GradCAM")
    assert torch.equal(scores, net(IMAGE))
    for category in (0, 2):
        torch.testing.assert_close(maps[:, category], grad_cam(net, category))
    assert not maps[:, 1].any()
    assert not maps.requires_grad
    attention = class_attention(maps)
    assert 0 <= attention.min() <= attention.max() <= 1


@pytest.mark.parametrize("method", ["GradCAM", "GradCAMpp", "LayerCAM", "XGradCAM"])
def test_the_network_is_left_as_it_was(method: str) -> None:
    net = network().requires_grad_(False)  # a frozen network has maps as well
    with torch.no_grad():
        _, maps = torchcam_maps(net, IMAGE, range(3), "body", method)
    assert (maps >= 0).all()
    assert maps.any()
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


class MaxPooled(Net):
    """No cell of it has a score: `layer="auto"` refuses it."""

    def forward(self, image: Tensor) -> Tensor:
        return self.fc(self.body(image).amax((2, 3)))


def test_a_classifier_without_a_score_for_each_cell_is_accumulated(tmp_path: Path) -> None:
    with pytest.raises(UnfitNetworkError, match="no classifier was found"):
        maps_of(tmp_path / "auto", Stranger(network=MaxPooled()))
    how = {"score_map": TorchcamMaps("model.body", "GradCAM")}
    module = Stranger(network=MaxPooled())
    maps = maps_of(tmp_path / "cam", module, how=how)
    assert any(one.any() for one in maps)
    assert module.model.training


def test_without_tags_every_class_has_a_map() -> None:
    scores, maps = TorchcamMaps("body")(network(), (IMAGE, "other"))
    tagged = {"image": IMAGE, "labels": torch.tensor([[1, 0, 0], [1, 0, 0]])}
    _, some = TorchcamMaps("body")(network(), tagged)
    assert maps.shape == (2, 3, 7, 7)
    assert torch.equal(some[:, 0], maps[:, 0])
    assert not some[:, 1:].any()
    assert scores.shape == (2, 3)


@pytest.mark.parametrize(
    ("layer", "method", "error", "message"),
    [
        ("body", "ScoreCAM", ConfigError, "method must be one of GradCAM"),
        ("bodi", "GradCAM", ConfigError, "no layer 'bodi'; the nearest are body"),
        ("fc", "GradCAM", UnfitNetworkError, r"\(B, D, h, w\)"),
    ],
)
def test_what_has_no_maps_is_refused(
    layer: str, method: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        torchcam_maps(network(), IMAGE, [0], layer, method)


def test_the_library_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcam", None)
    with pytest.raises(ConfigError, match=r"need the extra 'cam': pip install"):
        torchcam_maps(network(), IMAGE, [0], "body")
