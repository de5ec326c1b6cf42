"""The default head of a network by name learns on the embedded data, at the rates of the default.

From random weights, on a toy network. torchvision and EfficientNet-Lite by name have this head too.
"""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tests.nets.test_conf import CONF
from torch import nn

from oaa_pl.config.compose import register
from oaa_pl.data.synthetic.source import SyntheticSource
from oaa_pl.files.installed import root_of
from oaa_pl.modules.stock import make_optimizer, make_schedule

SIDE, CLASSES, STEPS, BATCH = 48, 8, 80, 8

NETWORKS: dict[str, dict[str, Any]] = {
    "timm": {"name": "resnet10t", "stride": 16},
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning"),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.Tensor, torch.Tensor]:
    """Photos and true masks, (N, 3, SIDE, SIDE) and (N, SIDE, SIDE)."""
    folder = tmp_path_factory.mktemp("synthetic")
    source = SyntheticSource(folder, "train", images=48, seed=0, long_side=SIDE, reliability=0.9)
    images, masks = [], []
    for index in range(len(source.ids)):
        photo, mask = source.photo(index), source.mask(index)
        images.append(resized(torch.from_numpy(photo).movedim(2, 0).float() / 127.5 - 1))
        masks.append(resized(torch.from_numpy(mask.astype(np.float32))[None], "nearest")[0].long())
    return torch.stack(images), torch.stack(masks)


def resized(picture: torch.Tensor, mode: str = "area") -> torch.Tensor:
    return nn.functional.interpolate(picture[None], (SIDE, SIDE), mode=mode)[0]


def default(name: str) -> nn.Module:
    pytest.importorskip(name, reason=f"needs the extra '{name}'")
    register()
    config = OmegaConf.create({"net": OmegaConf.load(CONF / f"{name}.yaml")})
    config.net.merge_with({"weights": "none"} | NETWORKS[name])
    net: nn.Module = instantiate(config.net.segmenter)(num_classes=CLASSES + 1)
    return net


@pytest.mark.parametrize("name", NETWORKS)
def test_a_default_head_learns_at_its_default_rates(
    name: str, pictures: tuple[torch.Tensor, torch.Tensor]
) -> None:
    torch.manual_seed(0)
    net = default(name).train()
    recipe = OmegaConf.load(root_of("conf") / "segmenter/paper.yaml")
    optimizer = make_optimizer(instantiate(recipe.optimizer, _convert_="all"), net)
    schedule = make_schedule(instantiate(recipe.schedule, _convert_="all"), optimizer, STEPS)
    images, masks = pictures
    losses = []
    for _ in range(STEPS):
        chosen = torch.randint(len(images), (BATCH,))
        logits = scores_of(net, images[chosen])
        loss = nn.functional.cross_entropy(logits, masks[chosen].clamp(max=CLASSES))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    net.eval()
    with torch.no_grad():
        predicted = torch.cat([scores_of(net, some).argmax(1) for some in images.split(BATCH)])
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    assert len(predicted.unique()) > 2, f"{name} predicts {predicted.unique().tolist()}"


def scores_of(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    resize = partial(nn.functional.interpolate, size=(SIDE, SIDE), mode="bilinear")
    return resize(net(images))
