"""How a classifier's attention moves from epoch to epoch: why the mean of its maps gains nothing.

A Lightning callback, given to a training by the command line; see README.md for the command. The
folder of this file has to be on PYTHONPATH.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from typing_extensions import override

from oaa_pl.attention.cam import class_attention
from oaa_pl.attention.gate import beats_absent_classes
from oaa_pl.attention.view import undo_view
from oaa_pl.losses import image_scores
from oaa_pl.types import Batch, StepOutput

COLUMNS = ("epoch", "accepted", "empty", "area", "iou_with_before", "area_maximum", "area_mean")
THRESHOLD = 0.3  # of evaluate.threshold


class AttentionByEpoch(Callback):
    """Measure the attention of all training images to their tags, epoch by epoch.

    Source: section 3.2: Eq. (2) for a map, (5) and (10) for maximum and mean, the paper's gate.

    Shares in [0, 1] of `COLUMNS`, over all (image, class) pairs: maps that the paper's gate
    accepts; maps with no positive value; the photo's area where attention is at least 0.3; that
    area's IoU with the epoch before, where both were accepted; the area of the maximum and of the
    mean of what was accepted so far, over the pairs that have any.

    Args:
        output: the CSV file; a row is added at the end of each epoch.
        grid: cells (h, w) of a map.
    """

    only_looks = True  # a stage's key does not hold it: with and without it the same is made

    def __init__(self, output: str, grid: Sequence[int] = (32, 32)) -> None:
        self.output, self.grid = Path(output), (grid[0], grid[1])
        self.rows: list[list[float]] = []
        self.before: dict[tuple[int, int], NDArray[np.bool_]] = {}
        self.now: dict[tuple[int, int], NDArray[np.bool_]] = {}
        self.maximum: dict[tuple[int, int], NDArray[np.float32]] = {}
        self.total: dict[tuple[int, int], NDArray[np.float32]] = {}
        self.count: dict[tuple[int, int], int] = {}
        self.seen: list[tuple[bool, bool, float]] = []

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.before, self.now, self.seen = self.now, {}, []

    @override
    @torch.no_grad()
    def on_train_batch_end(  # type: ignore[override]  # narrows Lightning's Any to our dicts
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: StepOutput,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        score_map, present = outputs["score_map"], batch["labels"] > 0
        gate = beats_absent_classes(image_scores(score_map), present)
        image, category = present.nonzero(as_tuple=True)
        attention = class_attention(score_map)[image, category]
        maps = undo_view(attention, batch["view"][image], self.grid)[0].clamp(0, 1).cpu().numpy()
        pairs = zip(batch["index"][image].tolist(), category.tolist(), strict=True)
        for pair, map_, passed in zip(pairs, maps, gate[image, category].tolist(), strict=True):
            accepted, object_ = passed and bool(map_.any()), map_ >= THRESHOLD
            self.seen.append((accepted, not map_.any(), float(object_.mean())))
            if accepted:
                self.now[pair] = object_
                self.maximum[pair] = np.maximum(self.maximum.get(pair, 0), map_)
                self.total[pair] = self.total.get(pair, 0) + map_
                self.count[pair] = self.count.get(pair, 0) + 1

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        accepted, empty, area = np.mean(self.seen, axis=0)
        both = [(self.before[pair], self.now[pair]) for pair in self.now.keys() & self.before]
        ious = [(a & b).sum() / max((a | b).sum(), 1) for a, b in both]
        union = [np.mean(map_ >= THRESHOLD) for map_ in self.maximum.values()]
        mean = [np.mean(self.total[pair] / n >= THRESHOLD) for pair, n in self.count.items()]
        others = (np.mean(part or [np.nan]) for part in (ious, union, mean))
        shares = [round(float(share), 3) for share in (accepted, empty, area, *others)]
        self.rows.append([trainer.current_epoch + 1, *shares])
        with self.output.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *self.rows])
