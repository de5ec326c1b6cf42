"""A cheap judge of proxy labels: a small head on frozen features of the classifier's trunk.

Each method's labels train the same head from the same start on the same features: only the labels
differ. Features are computed once for each classifier and kept on disk.

    python experiments/table2_lite/frozen_head.py <rows.csv> <folder of features> \
        experiment=table2_lite data.root=<voc2012-320> data.val_split=<val_dev|train_hold> [seed=1]

`+head.seeds=[0,1]` are the seeds of the head (default: the run's), `+head.epochs=24` its epochs.
Beside `methods`, `true_masks` trains on the true masks: an upper bound. `+labels.<name>=<folder>`
adds labels `<folder>/<id>.png` that are of no method of the run.

Shapes: N photos, F channels of h x w cells, C + 1 classes, H x W pixels.
"""

import csv
import logging
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from oaa_pl.commands.compose import overridden, run_job
from oaa_pl.commands.folders import Run
from oaa_pl.commands.inputs import digest_of
from oaa_pl.commands.trained import load_net
from oaa_pl.labels.palette import load_label
from omegaconf import DictConfig
from torch import Tensor, nn

from oaa_pl.commands import build
from oaa_pl.data.source import Source, fingerprint
from oaa_pl.ids import IGNORED
from oaa_pl.metrics import SegmentationScore

SIDE = 256  # pixels of the square that a photo is squeezed to
BLOCKS = (4, 6)  # stages of the trunk whose output is kept: the fifth and the last
TARGET = 64  # pixels of the side of a label in training
UPPER_BOUND = "true_masks"
COLUMNS = ("experiment", "seed", "dataset", "split", "stage", "method", "metric", "value")
_KEY = ("experiment", "seed", "split", "stage", "method")

log = logging.getLogger(__name__)


class HeadRecipe(NamedTuple):
    """How the head is trained."""

    epochs: int = 12
    batch_size: int = 16
    lr: float = 4e-3  # the highest of the one-cycle schedule
    weight_decay: float = 0.01
    hidden: int = 128
    dropout: float = 0.2
    seeds: tuple[int, ...] = ()


@torch.no_grad()
def features(net: nn.Module, cfg: DictConfig, source: Source) -> NDArray[np.float16]:
    """Features of the frozen trunk for every photo, (N, F, h, w)."""
    trunk: Any = net.get_submodule("trunk").eval().to(memory_format=torch.channels_last)
    kept: dict[int, Tensor] = {}
    for place in BLOCKS:
        trunk.blocks[place].register_forward_hook(
            lambda _module, _args, output, place=place: kept.update({place: output})
        )
    data = build.datamodule(cfg, source, None, cfg.loader.eval_batch_size)
    found = []
    for batch in data.predict_dataloader():
        trunk.blocks(trunk.bn1(trunk.conv_stem(batch["image"])))
        found.append(torch.cat([kept[place] for place in BLOCKS], dim=1).half().numpy())
    return np.concatenate(found)


def kept_features(cfg: DictConfig, folder: Path, source: Source) -> NDArray[np.float16]:
    """The same, from the folder if they are there: known by classifier and photos."""
    checkpoint = Run.of(cfg).classifier / "last.ckpt"
    name = f"{digest_of(checkpoint)[:12]}-{fingerprint(source)[:12]}-{SIDE}.npy"
    if not (folder / name).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        net = load_net(cfg, Run.of(cfg).classifier, len(source.classes))
        with (folder / f"{name}.part").open("wb") as file:
            np.save(file, features(net, cfg, source))
        (folder / f"{name}.part").rename(folder / name)
    found: NDArray[np.float16] = np.load(folder / name)
    return found


def targets(cfg: DictConfig, source: Source, method: str) -> Tensor:
    """A method's proxy labels, or the true masks, at the size of training: (N, h, w) int64."""
    folder = _labels(cfg, method)
    small = []
    for index, image_id in enumerate(source.ids):
        path = folder / f"{image_id}.png"
        label = source.mask(index) if method == UPPER_BOUND else load_label(path)
        pixels = torch.from_numpy(label.astype(np.float32))[None, None]
        small.append(F.interpolate(pixels, (TARGET, TARGET), mode="nearest-exact")[0, 0].long())
    return torch.stack(small)


def _labels(cfg: DictConfig, method: str) -> Path:
    others = cfg.get("labels") or {}
    return Path(others[method]) if method in others else Run.of(cfg).labels(method) / "proxy"


def trained_head(
    inputs: Tensor, labels: Tensor, classes: int, recipe: HeadRecipe, seed: int
) -> nn.Module:
    """A head trained on standardised features (N, F, h, w) and labels (N, H, W) in {0..C, 255}."""
    torch.manual_seed(seed)
    head = nn.Sequential(
        nn.Conv2d(inputs.shape[1], recipe.hidden, kernel_size=1, bias=False),
        nn.BatchNorm2d(recipe.hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(recipe.dropout),
        nn.Conv2d(recipe.hidden, classes, kernel_size=3, padding=1),
    )
    # An image that is ignored whole teaches nothing.
    useful = (labels != IGNORED).flatten(1).any(1).nonzero()[:, 0]
    batches = -(-len(useful) // recipe.batch_size)
    optimizer = torch.optim.AdamW(head.parameters(), weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.lr, total_steps=batches * recipe.epochs
    )
    for _ in range(recipe.epochs):
        for places in useful[torch.randperm(len(useful))].chunk(batches):
            batch, truth = inputs[places].float(), labels[places]
            flipped = torch.rand(len(places)) < 0.5
            batch[flipped], truth[flipped] = batch[flipped].flip(3), truth[flipped].flip(2)
            logits = F.interpolate(head(batch), truth.shape[1:], mode="bilinear")
            loss = F.cross_entropy(logits, truth, ignore_index=IGNORED)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return head.eval()


@torch.no_grad()
def scored(head: nn.Module, inputs: Tensor, source: Source) -> tuple[float, NDArray[np.int64]]:
    """MIoU in per cent, and every photo's confusion matrix (N, C + 1, C + 1)."""
    classes = len(source.classes) + 1
    total, by_photo = SegmentationScore(classes), []
    for index in range(len(source.ids)):
        truth = torch.from_numpy(source.mask(index))
        logits = head(inputs[index : index + 1].float())
        label = F.interpolate(logits, truth.shape, mode="bilinear")[0].argmax(0)
        one = SegmentationScore(classes)
        for score in (one, total):
            score.update(label, truth)
        by_photo.append(one.confusion.numpy().astype(np.int64))
    return 100 * float(total.compute()["miou"]), np.stack(by_photo)


def run(cfg: DictConfig) -> None:
    """Train and score a head for each of `methods`; scores that are there already are left."""
    words = build.plain(cfg.get("head")) or {}
    recipe = HeadRecipe(**{k: tuple(v) if isinstance(v, list) else v for k, v in words.items()})
    rows, folder = Path(sys.argv[1]), Path(sys.argv[2])
    cfg = overridden(cfg, {"data": {"input_size": SIDE}})
    train, val = build.sources(cfg)
    if val is None:
        raise SystemExit("data.val_split names no photos to score on")
    known = set()
    if rows.is_file():
        with rows.open(newline="") as file:
            known = {tuple(row[key] for key in _KEY) for row in csv.DictReader(file)}
    inputs = torch.from_numpy(kept_features(cfg, folder, train))
    inputs_val = torch.from_numpy(kept_features(cfg, folder, val))
    mean, deviation = _moments(inputs)
    for part in (inputs, inputs_val):
        part.sub_(mean).div_(deviation)
    for method in [*cfg.methods, *(cfg.get("labels") or {}), UPPER_BOUND]:
        for seed in recipe.seeds or (cfg.seed,):
            stage = f"frozen_head-{seed}"
            if (cfg.name, str(cfg.seed), val.split, stage, method) in known:
                continue
            if method != UPPER_BOUND and not _labels(cfg, method).is_dir():
                log.warning("%s has no finished proxy labels: left out", method)
                break
            start = time.monotonic()
            labels = targets(cfg, train, method)
            head = trained_head(inputs, labels, len(train.classes) + 1, recipe, seed)
            miou, by_photo = scored(head, inputs_val, val)
            home = rows.parent / f"{rows.stem}-photos"
            home.mkdir(exist_ok=True)
            name = f"{cfg.name}-{cfg.seed}-{val.split}-{method}-{seed}.npz"
            np.savez_compressed(home / name, ids=np.array(val.ids), confusion=by_photo)
            of = (cfg.name, cfg.seed, val.name, val.split, stage, method)
            row = (*of, "segmentation/miou", f"{miou:.4f}")
            fresh = not rows.is_file()
            with rows.open("a", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([COLUMNS, row] if fresh else [row])
            seconds = time.monotonic() - start
            log.info("%s, head seed %d: %.1f in %.0f s", method, seed, miou, seconds)


def _moments(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every channel, (1, F, 1, 1) float16, batch by batch."""
    parts = [part.float() for part in inputs.split(64)]
    count = sum(part.shape[0] * part.shape[2] * part.shape[3] for part in parts)
    mean = sum(part.sum((0, 2, 3)) for part in parts) / count
    square = sum((part - mean[:, None, None]).square().sum((0, 2, 3)) for part in parts) / count
    shaped = [one[None, :, None, None].half() for one in (mean, square.sqrt().clamp(min=1e-3))]
    return shaped[0], shaped[1]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    run_job(run, sys.argv[3:])
