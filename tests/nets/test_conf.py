"""Every network that conf/net names can be built, and is what the stages expect."""

from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from oaa_pl.config.compose import register
from oaa_pl.errors import WeightsError

CONF = Path(__file__).parents[2] / "conf" / "net"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))
SMALLER = {
    "resnet101": {"depth": 18},
    "smp": {"name": "resnet10t"},
    "timm": {"name": "convnext_atto"},
    "torchvision": {"name": "mobilenet_v3_small"},
}


def net_config(name: str) -> DictConfig:
    if name == "smp":
        pytest.importorskip("segmentation_models_pytorch", reason="needs the extra 'smp'")
    if name == "timm" or name.startswith("efficientnet_lite"):
        pytest.importorskip("timm", reason="needs the extra 'lite' or 'timm'")
    register()
    config = OmegaConf.create({"net": OmegaConf.load(CONF / f"{name}.yaml")})
    config.net.merge_with({"weights": "none"} | SMALLER.get(name, {}))
    return config.net


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("role", ["attention", "segmenter"])
def test_a_network_is_built_from_its_configuration(name: str, role: str) -> None:
    config = net_config(name)
    net = instantiate(config[role])(num_classes=5).eval()
    with torch.no_grad():
        output = net(torch.zeros(1, 3, 64, 96))
    cell = getattr(net, "stride", net.trunk.stride)
    assert output.shape == (1, 5, 64 // cell, 96 // cell)
    assert net.trunk.stride == (config.get("stride") or net.trunk.stride)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("role", ["attention", "segmenter"])
def test_weights_are_one_value_that_no_network_ignores(name: str, role: str) -> None:
    config = net_config(name)
    config.weights = "absent.safetensors"
    failed = (InstantiationException, WeightsError)
    with pytest.raises(failed, match=r"absent.safetensors' does not exist"):
        instantiate(config[role])(num_classes=5)


@pytest.mark.parametrize("name", NAMES)
def test_normalisation_has_three_channels_in_units_of_one(name: str) -> None:
    config = net_config(name)
    assert config.name == SMALLER.get(name, {}).get("name", name)
    assert len(config.mean) == len(config.std) == 3
    assert all(0 < value <= 1 for value in (*config.mean, *config.std))


def test_vgg16_is_normalised_as_its_weights_were_trained() -> None:
    config = net_config("vgg16")
    for pixel, mean in zip((123.68, 116.779, 103.939), config.mean, strict=True):
        assert pixel / 255 == pytest.approx(mean, abs=5e-5)
    assert [1 / std for std in config.std] == pytest.approx([255, 255, 255])
