r"""Gates, first epochs and readings on the recorded maps of one training, without training again.

The maps that `recorded_maps.py` kept are fused as the store would: maximum (Eq. 5) and mean
(Eq. 10). `last` is the last epoch's own map, the fair beginning for both: it was made in training,
with the statistics of its batch, as all that was accumulated; `cam` is made by the finished model.

    python experiments/table2_lite/accumulations.py <recorded> <rows.csv> <folder of labels> \
        experiment=table2_lite data.root=<voc2012-320> [seed=1] [+fusions=[last]]

Shapes: E epochs, P (image, class) pairs of the tags, h x w cells.
"""

import csv
import logging
import sys
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from oaa_pl.commands.compose import run_job
from oaa_pl.labels.palette import save_label
from oaa_pl.labels.proxy import make_labels
from oaa_pl.labels.resize import to_photo
from omegaconf import DictConfig
from readings import COLUMNS, READINGS, Scores

from oaa_pl.attention.view import undo_view
from oaa_pl.commands import build
from oaa_pl.metrics.threshold import cut

FIRST = (0, 1, 2, 4, 6)
GATES = ("beats_absent_classes", "none")

log = logging.getLogger(__name__)


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


def trials() -> list[tuple[str, int, str]]:
    """Fusion, first epoch and gate of each line of the table."""
    ways = [("last", 0, "none")]
    for gate in GATES:
        for first in FIRST:
            ways += [(fusion, first, gate) for fusion in ("maximum", "mean")]
    return ways


def run(cfg: DictConfig) -> None:
    """Score every way of accumulating; the labels of `last` are kept."""
    recorded, rows, folder = (Path(word) for word in sys.argv[1:4])
    source, _ = build.sources(cfg)
    cue, rule = instantiate(cfg.background), instantiate(cfg.proxy)
    table = []
    for reading in ("eq2", "probability"):
        found = Recorded(recorded, reading)
        for fusion, first, gate in trials() if reading == "eq2" else trials()[:3]:
            if fusion not in cfg.get("fusions", [fusion]):
                continue
            maps, score = found.fused(fusion, first, gate), Scores(len(source.classes) + 1)
            for index in range(len(source.ids)):
                mask, photo = torch.from_numpy(source.mask(index)), source.photo(index)
                own = torch.from_numpy(maps[found.index == index])
                score.mean.append(float(own.mean()))
                views = torch.eye(2, 3).repeat(len(own), 1, 1)
                whole = undo_view(own, views, tuple(cfg.store.grid))[0].clamp(0, 1).numpy()
                whole = to_photo(whole, (mask.shape[0], mask.shape[1]))
                categories = source.labels[index].nonzero()[0]
                shown = torch.from_numpy(whole), torch.from_numpy(categories)
                score.curve.update(*shown, mask)
                score.fixed.update(cut(*shown, cfg.evaluate.threshold), mask)
                labels = make_labels(whole, categories, cue(source.ids[index], photo), rule)
                score.hard.update(torch.from_numpy(labels.hard), mask)
                score.proxy.update(torch.from_numpy(labels.proxy), mask)
                if fusion == "last":
                    of = f"{cfg.name}-{cfg.seed}-last-{reading}"
                    save_label(folder / of / f"{source.ids[index]}.png", labels.proxy)
            way = fusion if fusion == "last" else f"{fusion}, first epoch {first}, gate {gate}"
            table.append([cfg.name, cfg.seed, source.split, way, reading, *score.row()])
            log.info("%s", table[-1])
    with rows.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS[:-1], *table])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    run_job(run, sys.argv[4:])
