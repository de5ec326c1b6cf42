r"""Gates, first epochs and readings on the recorded maps of one training, without training again.

The maps that `recorded_maps.py` kept are fused as the store would: maximum (Eq. 5) and mean
(Eq. 10). `last` is the last epoch's own map, the fair beginning for both: it was made in training,
with the statistics of its batch, as all that was accumulated; `cam` is made by the finished model.

    python experiments/table2_lite/accumulations.py <recorded> <rows.csv> \
        experiment=table2_lite data.root=<voc2012-320> [seed=1]

Shapes: E epochs, P (image, class) pairs of the tags, h x w cells.
"""

import csv
import logging
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from readings import COLUMNS, READINGS, Scores, add_rows

from oaa_pl.config.job import run_job
from oaa_pl.stages.configured import Configured

FIRST = (0, 1, 2, 4, 6)
GATES = ("beats_absent_classes", "none")
THRESHOLD = 0.3  # of evaluate.threshold
EPOCHS = ("epoch", "accepted", "empty", "iou_with_before")


class Recorded:
    """Maps and gate of every epoch, pairs in one order.

    Args:
        folder: of the files `epoch-<number>.npz`.
        reading: a word of `READINGS`.
    """

    def __init__(self, folder: Path, reading: str) -> None:
        maps, passed = [], []
        for epoch in range(len(list(folder.glob("epoch-*.npz")))):
            with np.load(folder / f"epoch-{epoch}.npz") as saved:
                order = np.lexsort((saved["category"], saved["index"]))
                self.index = saved["index"][order]
                score_map = torch.from_numpy(saved["maps"][order].astype(np.float32))
                maps.append(READINGS[reading](score_map[:, None])[:, 0].numpy())
                passed.append((saved["score"] > saved["best_absent"])[order])
        self.maps, self.passed = np.stack(maps), np.stack(passed)  # (E, P, h, w) and (E, P)

    def fused(self, fusion: str, first: int, gate: str) -> NDArray[np.float32]:
        """Cumulative maps (P, h, w); a pair that was never accepted has its last epoch's."""
        if fusion == "last":
            return self.maps[-1]
        accepted = self.passed | (gate == "none")
        accepted = (accepted & self.maps.any((2, 3)))[first:, :, None, None]
        part = np.where(accepted, self.maps[first:], 0)
        count = accepted.sum(0)
        whole = part.max(0) if fusion == "maximum" else part.sum(0) / np.maximum(count, 1)
        return np.where(count > 0, whole, self.maps[-1]).astype(np.float32)

    def wandering(self) -> list[list[float]]:
        """Rows of `EPOCHS`: what the gate accepts, and how alike two epochs in a row are."""
        rows: list[list[float]] = []
        area = self.maps >= THRESHOLD
        for epoch, passed in enumerate(self.passed):
            row = [epoch, float(passed.mean()), float((~self.maps[epoch].any((1, 2))).mean())]
            both = passed & self.passed[max(0, epoch - 1)]
            now, before = area[epoch][both], area[max(0, epoch - 1)][both]
            iou = (now & before).sum() / max(1, (now | before).sum())
            rows.append([round(one, 3) for one in (*row, float(iou) if epoch else np.nan)])
        return rows


def trials() -> list[tuple[str, int, str]]:
    """Fusion, first epoch and gate of each line of the table."""
    ways = [("last", 0, "none")]
    for gate in GATES:
        for first in FIRST:
            ways += [(fusion, first, gate) for fusion in ("maximum", "mean")]
    return ways


def run(cfg: DictConfig) -> None:
    """Score every way of accumulating; overlap of epochs goes to `<rows>-epochs.csv`."""
    recorded, rows = (Path(word) for word in sys.argv[1:3])
    parts = Configured(cfg)
    source = parts.data.train
    for reading in ("eq2", "probability"):
        found = Recorded(recorded, reading)
        for fusion, first, gate in trials() if reading == "eq2" else trials()[:3]:
            if first >= len(found.maps):
                continue
            maps, score = found.fused(fusion, first, gate), Scores(parts)
            for index in range(len(source.ids)):
                score.add(index, torch.from_numpy(maps[found.index == index]))
            way = fusion if fusion == "last" else f"{fusion}, first epoch {first}, gate {gate}"
            row = (cfg.name, cfg.seed, source.split, way, reading, *score.row())
            add_rows(rows, COLUMNS[:-1], [row])
    with rows.with_name(f"{rows.stem}-epochs.csv").open("w", newline="") as file:
        table = Recorded(recorded, "eq2").wandering()
        csv.writer(file, lineterminator="\n").writerows([EPOCHS, *table])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    run_job(run, sys.argv[3:])
