"""How a score map is read decides the proxy labels: every model of a run, read in three ways.

The control for OAA+: its maps are read as probabilities, a classifier's by Eq. (2). Here every
model is read in every way; the labels made from each are kept, for `frozen_head.py`.

    python experiments/table2_lite/readings.py <rows.csv> <folder of labels> \
        experiment=table2_lite data.root=<voc2012-320> [seed=1]

Shapes: K tagged classes of a photo, h x w cells, H x W pixels.
"""

import csv
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from hydra.utils import instantiate
from oaa_pl.commands.compose import run_job
from oaa_pl.commands.folders import Run
from oaa_pl.commands.trained import load_net
from oaa_pl.labels.palette import save_label
from oaa_pl.labels.proxy import make_labels
from oaa_pl.labels.resize import to_photo
from omegaconf import DictConfig
from torch import Tensor

from oaa_pl.attention.cam import class_attention, min_max_attention, probability_attention
from oaa_pl.attention.view import undo_view
from oaa_pl.commands import build
from oaa_pl.data.source import Source
from oaa_pl.metrics import HeldOutThreshold, SegmentationScore
from oaa_pl.metrics.threshold import cut

READINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "eq2": class_attention,
    "probability": probability_attention,
    "min_max": min_max_attention,
}
COLUMNS = (
    "experiment", "seed", "split", "model", "reading", "attention/miou", "attention/precision",
    "attention/recall", "attention/miou_best", "attention/best_threshold", "proxy/miou_hard",
    "proxy/miou", "proxy/coverage", "mean attention", "cells above zero",
)  # fmt: skip

log = logging.getLogger(__name__)


class Scores:
    """The scores of one model in one reading."""

    def __init__(self, classes: int) -> None:
        self.curve, self.fixed = HeldOutThreshold(classes), SegmentationScore(classes)
        self.hard, self.proxy = SegmentationScore(classes), SegmentationScore(classes)
        self.mean: list[float] = []

    def row(self) -> list[float]:
        """In the order of `COLUMNS`, from `attention/miou` on; mIoU in per cent."""
        curve, fixed, proxy = self.curve.curve(), self.fixed.compute(), self.proxy.compute()
        best = curve.best or 0
        scores = (fixed["miou"], fixed["precision"], fixed["recall"], curve.miou[best])
        labels = (self.hard.compute()["miou"], proxy["miou"], proxy["coverage"])
        mean = sum(self.mean) / len(self.mean)
        shares = [round(100 * float(score), 2) for score in (*scores, *labels)]
        return [*shares[:4], float(curve.thresholds[best]), *shares[4:], round(mean, 3)]


def score_maps(cfg: DictConfig, folder: Path, source: Source) -> list[Tensor]:
    """Raw scores of every photo's tagged classes on its cells, (K, h, w) each."""
    net = build.on_device(cfg, load_net(cfg, folder, len(source.classes)))
    data = build.datamodule(cfg, source, None, cfg.loader.eval_batch_size)
    found = []
    with torch.no_grad():
        for batch in data.predict_dataloader():
            score_map = net(batch["image"])
            found += [one[tags > 0] for one, tags in zip(score_map, batch["labels"], strict=True)]
    return found


def run(cfg: DictConfig) -> None:
    """Score the models that are finished and not in the table yet."""
    rows, folder, home = Path(sys.argv[1]), Path(sys.argv[2]), Run.of(cfg)
    known = set()
    if rows.is_file():
        with rows.open(newline="") as file:
            known = {(one["experiment"], one["seed"], one["model"]) for one in csv.DictReader(file)}
    source, _ = build.sources(cfg)
    cue, rule = instantiate(cfg.background), instantiate(cfg.proxy)
    models = {"classifier": home.classifier}
    models |= {f"integral {loss}": home.integral(loss) for loss in ("hybrid", "cross_entropy")}
    for model, trained in models.items():
        done = (trained / "done.json").is_file()
        if not done or (cfg.name, str(cfg.seed), model) in known:
            continue
        scores = {reading: Scores(len(source.classes) + 1) for reading in READINGS}
        positive = []
        for index, score_map in enumerate(score_maps(cfg, trained, source)):
            categories = source.labels[index].nonzero()[0]
            mask, photo = torch.from_numpy(source.mask(index)), source.photo(index)
            saliency = cue(source.ids[index], photo)
            positive.append(float((score_map > 0).float().mean()))
            for reading, read in READINGS.items():
                attention = read(score_map[None])[0]
                views = torch.eye(2, 3).repeat(len(categories), 1, 1)
                whole = undo_view(attention, views, tuple(cfg.store.grid))[0].clamp(0, 1).numpy()
                whole = to_photo(whole, (mask.shape[0], mask.shape[1]))
                score = scores[reading]
                score.mean.append(float(attention.mean()))
                shown = torch.from_numpy(whole), torch.from_numpy(categories)
                score.curve.update(*shown, mask)
                score.fixed.update(cut(*shown, cfg.evaluate.threshold), mask)
                labels = make_labels(whole, categories, saliency, rule)
                score.hard.update(torch.from_numpy(labels.hard), mask)
                score.proxy.update(torch.from_numpy(labels.proxy), mask)
                of_model = f"{cfg.name}-{cfg.seed}-{model.replace(' ', '_')}-{reading}"
                save_label(folder / of_model / f"{source.ids[index]}.png", labels.proxy)
        share = round(sum(positive) / len(positive), 3)
        fresh = not rows.is_file()
        with rows.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([COLUMNS] if fresh else [])
            for reading, score in scores.items():
                row = [cfg.name, cfg.seed, source.split, model, reading, *score.row(), share]
                writer.writerow(row)
                log.info("%s", row)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    run_job(run, sys.argv[3:])
