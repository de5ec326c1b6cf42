"""How a score map becomes attention decides the proxy labels: every model of a run, in three ways.

The control for OAA+: its maps are converted by probability, a classifier's by Eq. (2). Here every
model is converted in every way.

    python experiments/table2_lite/readings.py <rows.csv> \
        experiment=table2_lite data.root=<voc2012-320> [seed=1]

Shapes: K tagged classes of a photo, h x w cells, H x W pixels.
"""

import csv
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from oaa_pl.attention.cam import class_attention, min_max_attention, probability_attention
from oaa_pl.attention.view import undo_view
from oaa_pl.config.job import run_job
from oaa_pl.metrics import HeldOutThreshold, SegmentationScore
from oaa_pl.metrics.threshold import cut
from oaa_pl.proxy.resize import to_photo
from oaa_pl.proxy.rule import make_labels
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.pipeline import Pipeline

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
    """The scores of one way to make attention, as `oaa evaluate` takes them.

    Args:
        parts: of the run: photos, background cue, rule of the labels, threshold.
    """

    def __init__(self, parts: Configured) -> None:
        self.source, self.threshold = parts.data.train, parts.threshold
        self.cue, self.rule = parts.recipe("background")(), parts.recipe("proxy")()
        self.grid = tuple(parts.value("store.grid"))
        ids = len(self.source.classes) + 1
        self.curve, self.fixed = HeldOutThreshold(ids), SegmentationScore(ids)
        self.hard, self.proxy = SegmentationScore(ids), SegmentationScore(ids)
        self.mean: list[float] = []

    def add(self, index: int, attention: Tensor) -> None:
        """Score the maps (K, h, w) in [0, 1] of a photo's tags, in the order of the classes."""
        mask = torch.from_numpy(self.source.mask(index))
        views = torch.eye(2, 3).repeat(len(attention), 1, 1)
        whole = undo_view(attention, views, self.grid)[0].clamp(0, 1).numpy()  # type: ignore[arg-type]  # two numbers
        whole = to_photo(whole, (mask.shape[0], mask.shape[1]))
        categories = self.source.labels[index].nonzero()[0]
        shown = torch.from_numpy(whole), torch.from_numpy(categories)
        self.curve.update(*shown, mask)
        self.fixed.update(cut(*shown, self.threshold), mask)
        saliency = self.cue(self.source.ids[index], self.source.photo(index))
        labels = make_labels(whole, categories, saliency, self.rule)
        self.hard.update(torch.from_numpy(labels.hard), mask)
        self.proxy.update(torch.from_numpy(labels.proxy), mask)
        self.mean.append(float(attention.mean()))

    def row(self) -> list[float]:
        """In the order of `COLUMNS`, from `attention/miou` on; mIoU in per cent."""
        curve, fixed, proxy = self.curve.curve(), self.fixed.compute(), self.proxy.compute()
        best = curve.best or 0
        scores = (fixed["miou"], fixed["precision"], fixed["recall"], curve.miou[best])
        labels = (self.hard.compute()["miou"], proxy["miou"], proxy["coverage"])
        mean = sum(self.mean) / len(self.mean)
        shares = [round(100 * float(score), 2) for score in (*scores, *labels)]
        return [*shares[:4], float(curve.thresholds[best]), *shares[4:], round(mean, 3)]


@torch.no_grad()
def score_maps(parts: Configured, net: nn.Module) -> Iterator[tuple[int, Tensor]]:
    """Index and raw scores (K, h, w) of every photo's tagged classes."""
    layout = torch.channels_last if parts.value("net.channels_last") else torch.contiguous_format
    data = parts.data.loaders(parts.network("attention"), parts.data.train)
    for batch in data.predict_dataloader():
        found = net(batch["image"].to(memory_format=layout)).float().cpu()
        tagged = (one[tags > 0] for one, tags in zip(found, batch["labels"], strict=True))
        yield from zip(batch["index"].tolist(), tagged, strict=True)


def read_in_every_way(
    parts: Configured, maps: Iterator[tuple[int, Tensor]]
) -> dict[str, list[float]]:
    """The row of each reading, with the share of cells above zero."""
    scores, positive = {reading: Scores(parts) for reading in READINGS}, []
    for index, score_map in maps:
        positive.append(float((score_map > 0).float().mean()))
        for reading, read in READINGS.items():
            scores[reading].add(index, read(score_map[None])[0])
    share = round(sum(positive) / len(positive), 3)
    return {reading: [*one.row(), share] for reading, one in scores.items()}


def add_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Add rows to a table, which gets its columns first if it is new."""
    fresh = not path.is_file()
    with path.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows] if fresh else rows)
    for row in rows:
        log.info("%s", row)


def known_rows(path: Path, *columns: str) -> set[tuple[str, ...]]:
    """Values of some columns of every row of a table; none if it does not exist."""
    if not path.is_file():
        return set()
    with path.open(newline="") as file:
        return {tuple(row[name] for name in columns) for row in csv.DictReader(file)}


def run(cfg: DictConfig) -> None:
    """Score the models that are finished and not in the table yet."""
    rows, parts = Path(sys.argv[1]), Configured(cfg)
    known = known_rows(rows, "experiment", "seed", "model")
    models = {"classifier": Pipeline(parts).classifier()}
    for loss in ("hybrid", "cross_entropy"):
        models[f"integral {loss}"] = Pipeline(parts.with_loss(loss)).integral()  # type: ignore[assignment]  # both train
    for model, stage in models.items():
        if not stage.finished or (cfg.name, str(cfg.seed), model) in known:
            continue
        found = read_in_every_way(parts, score_maps(parts, stage.trained()))
        of = (cfg.name, cfg.seed, parts.data.train.split, model)
        add_rows(rows, COLUMNS, [(*of, reading, *row) for reading, row in found.items()])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    run_job(run, sys.argv[2:])
