"""Whether the default segmenter head of every network by name learns at the default rates.

Each training is short: 48 drawn photos, batches of 8, DeepLab's optimiser and schedule as
conf/segmenter/paper.yaml has them. `frozen` trains the head alone, on fixed features of the same
trunk: a random trunk that learns slowly then does not count against the head. `small_head` puts the
small head with batch norm on the same trunk. One training per line of runs.txt.

    python experiments/default_heads/learn.py < experiments/default_heads/runs.txt > learning.csv
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from oaa_pl.config.compose import register
from oaa_pl.data.synthetic.source import SyntheticSource
from oaa_pl.files.installed import root_of
from oaa_pl.modules.stock import make_optimizer, make_schedule
from oaa_pl.nets.small_head import SmallHeadNet

CLASSES, BATCH, PASS = 9, 8, 24  # classes with background; images of a step; of a pass over all
FIELDS = "net,name,weights,trunk,head,recipe,side,step,loss,most_frequent,right,background"


def main() -> None:
    """One training per line of standard input, rows of a CSV to standard output."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(FIELDS.split(","))
    for line in sys.stdin:
        run = arguments(line)
        for row in training(run):
            writer.writerow(row)
        sys.stdout.flush()


def arguments(line: str) -> argparse.Namespace:
    """What one training is, from its line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("net", help="conf/net/<net>.yaml")
    parser.add_argument("--name", help="net.name")
    parser.add_argument("--weights", default="none")
    parser.add_argument("--trunk", choices=["trained", "frozen"], default="frozen")
    parser.add_argument("--head", choices=["default", "small_head"], default="default")
    parser.add_argument("--recipe", choices=["paper", "frozen_head"], default="paper")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--side", type=int, default=128, help="of an image, in pixels")
    return parser.parse_args(line.split())


def net_config(run: argparse.Namespace) -> DictConfig:
    """A network's configuration, with the name and the weights of this training."""
    register()
    config = OmegaConf.create({"net": OmegaConf.load(root_of("conf") / f"net/{run.net}.yaml")})
    config.net.merge_with({"weights": run.weights} | ({"name": run.name} if run.name else {}))
    return config.net


def pictures(config: DictConfig, side: int) -> tuple[Tensor, Tensor]:
    """Normalised photos and true masks, (N, 3, side, side) and (N, side, side)."""
    mean, std = (torch.tensor(list(value))[:, None, None] for value in (config.mean, config.std))
    images, masks = [], []
    with tempfile.TemporaryDirectory() as folder:
        source = SyntheticSource(folder, "train", 48, seed=0, long_side=side, reliability=0.9)
        for index in range(len(source.ids)):
            photo = torch.from_numpy(source.photo(index)).movedim(2, 0)[None] / 255
            mask = torch.from_numpy(source.mask(index).astype(np.float32))[None, None]
            images.append((F.interpolate(photo, (side, side), mode="area")[0] - mean) / std)
            masks.append(F.interpolate(mask, (side, side))[0, 0].long())
    return torch.stack(images), torch.stack(masks)


@torch.no_grad()
def give_statistics(trunk: nn.Module, images: Tensor) -> None:
    """Give the batch norms of a random trunk the statistics that published weights would have."""
    norms = [layer for layer in trunk.modules() if isinstance(layer, nn.BatchNorm2d)]
    kept = [norm.momentum for norm in norms]
    trunk.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over the passes
        norm.train()  # also where the trunk keeps it in evaluation
    for some in images.split(PASS):
        trunk(some)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    trunk.train()


@torch.no_grad()
def features_of(net: Any, images: Tensor) -> list[Tensor]:
    """Features of the trunk, which is not trained: one tensor, or one per stride."""
    net.trunk.eval().requires_grad_(False)
    parts = [net.trunk(some) for some in images.split(PASS)]
    if isinstance(parts[0], Tensor):
        return [torch.cat(parts)]
    return [torch.cat(levels) for levels in zip(*parts, strict=True)]


def scores(net: Any, seen: list[Tensor], chosen: Tensor, side: int, frozen: bool) -> Tensor:
    """Scores (B, C + 1, side, side) of the chosen images, or of their features if frozen."""
    given = [one[chosen] for one in seen]
    if not frozen:
        logits = net(given[0])
    else:
        logits = net.head(net.decoder(given) if hasattr(net, "decoder") else given[0])
    return F.interpolate(logits, (side, side), mode="bilinear")


def training(run: argparse.Namespace) -> Iterator[list[Any]]:
    """Train, and give a row of the CSV after each quarter of the steps."""
    torch.manual_seed(0)
    config = net_config(run)
    net = instantiate(config.segmenter)(num_classes=CLASSES)
    if run.head == "small_head":
        net = SmallHeadNet(net.trunk, CLASSES)
    images, masks = pictures(config, run.side)
    if run.weights == "none":
        give_statistics(net.trunk, images)
    frozen = run.trunk == "frozen"
    seen = features_of(net, images) if frozen else [images]
    recipe = OmegaConf.load(root_of("conf") / f"segmenter/{run.recipe}.yaml")
    if run.recipe == "frozen_head":
        recipe = OmegaConf.masked_copy(recipe.frozen_head, ["optimizer", "schedule"])
    optimizer = make_optimizer(instantiate(recipe.optimizer, _convert_="all"), net)
    schedule = make_schedule(instantiate(recipe.schedule, _convert_="all"), optimizer, run.steps)
    about = [
        run.net,
        config.name,
        Path(run.weights).stem,
        run.trunk,
        run.head,
        run.recipe,
        run.side,
    ]
    losses: list[float] = []
    for step in range(1, run.steps + 1):
        net.train()
        chosen = torch.randint(len(masks), (BATCH,))
        loss = F.cross_entropy(scores(net, seen, chosen, run.side, frozen), masks[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if step % (run.steps // 4) == 0:
            yield [*about, step, *shares(net, seen, masks, run, losses)]


@torch.no_grad()
def shares(
    net: nn.Module, seen: list[Tensor], masks: Tensor, run: argparse.Namespace, losses: list[float]
) -> list[str]:
    """Loss of the last ten steps; of the pixels: most frequent prediction, right, background."""
    net.eval()
    places = torch.arange(len(masks)).split(BATCH)
    frozen = run.trunk == "frozen"
    found = torch.cat([scores(net, seen, some, run.side, frozen).argmax(1) for some in places])
    most = torch.bincount(found.flatten()).max() / found.numel()
    values = most, (found == masks).float().mean(), (masks == 0).float().mean()
    return [f"{np.mean(losses[-10:]):.3f}", *(f"{float(value):.3f}" for value in values)]


if __name__ == "__main__":
    main()
