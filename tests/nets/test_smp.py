"""Decoders of segmentation-models-pytorch on encoders of timm."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.nets.smp import SmpNet
from oaa_pl.nets.trunk import trunk_stride

timm = pytest.importorskip("timm", reason="needs the extra 'smp'")
smp = pytest.importorskip("segmentation_models_pytorch", reason="needs the extra 'smp'")

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")

SMALL = {"name": "resnet10t", "weights": "none"}


@pytest.mark.parametrize("decoder", ["FPN", "Unet", "DeepLabV3Plus"])
def test_logits_have_the_images_size_whatever_it_is(decoder: str) -> None:
    net = SmpNet(4, decoder, **SMALL).eval()
    with torch.no_grad():
        assert net(torch.randn(2, 3, 65, 40)).shape == (2, 4, 65, 40)
    assert trunk_stride(net) in (16, 32)


def test_the_network_is_the_librarys_own_on_sizes_that_it_takes() -> None:
    torch.manual_seed(0)
    ours = SmpNet(4, "FPN", **SMALL).eval()
    theirs = smp.FPN("tu-resnet10t", encoder_weights=None, classes=4).eval()
    for part, other in (
        (ours.trunk, theirs.encoder),
        (ours.decoder, theirs.decoder),
        (ours.head, theirs.segmentation_head),
    ):
        other.load_state_dict(part.state_dict())
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(ours(image), theirs(image))


def test_a_file_fills_the_encoder_or_is_refused(tmp_path: Path) -> None:
    whole = timm.create_model("resnet10t")
    save_file(whole.state_dict(), tmp_path / "good.safetensors")
    net = SmpNet(4, **{**SMALL, "weights": tmp_path / "good.safetensors"})
    stem = net.trunk.get_parameter("model.conv1.0.weight")
    assert torch.equal(stem, whole.state_dict()["conv1.0.weight"])
    save_file({"other": torch.ones(3)}, tmp_path / "bad.safetensors")
    with pytest.raises(WeightsError, match=r"bad.safetensors' does not fill \d+ parts"):
        SmpNet(4, **{**SMALL, "weights": tmp_path / "bad.safetensors"})


def test_a_frozen_encoder_is_not_trained() -> None:
    net = SmpNet(4, **SMALL, freeze=2)
    assert not any(p.requires_grad for p in net.trunk.parameters())
    assert all(p.requires_grad for p in net.decoder.parameters())


@pytest.mark.parametrize(
    ("decoder", "name", "message"),
    [
        ("DeepLabV4", "resnet10t", "has no 'DeepLabV4'; the nearest are .*DeepLabV3"),
        ("FPN", "resnet10x", "timm has no network 'resnet10x'"),
        ("FPN", "vit_tiny_patch16_224", "FPN .* cannot be made on vit_tiny.*several strides"),
    ],
)
def test_what_there_is_not_is_refused(decoder: str, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SmpNet(4, decoder, name, "none")


def test_the_library_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(ConfigError, match=r"needs the extra 'smp': pip install"):
        SmpNet(4, **SMALL)
