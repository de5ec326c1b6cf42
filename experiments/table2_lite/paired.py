"""Differences between methods of the frozen head, with 95 % intervals by a paired bootstrap.

Every replicate draws seeds, and for each of them photos, with repeats; both methods of a
difference are scored on the same draw. With one seed the interval is over photos alone.

    python experiments/table2_lite/paired.py <frozen_head-photos> <table.csv> [<split>]

Shapes: R replicates, N photos, C + 1 classes.
"""

import csv
import logging
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REPLICATES = 2000
PAIRS = (
    ("oaa_max", "cam"),
    ("oaa_mean", "cam"),
    ("oaa_max", "oaa_mean"),
    ("oaa_plus_hybrid", "oaa_max"),
    ("oaa_plus_hybrid", "oaa_plus_mce"),
    ("oaa_plus_hybrid", "cam"),
    ("oaa_plus_hybrid", "tags"),
    ("oaa_plus_hybrid", "tags_hard"),
    ("cam", "tags_hard"),
    ("cam_probability", "cam"),
    ("oaa_plus_hybrid", "cam_probability"),
    ("true_masks", "oaa_plus_hybrid"),
)
COLUMNS = ("method", "minus", "difference", "low", "high", "seeds", "by seed")

log = logging.getLogger(__name__)


def miou(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean IoU in per cent of confusion matrices (..., C + 1, C + 1)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    union = confusion.sum(-1) + confusion.sum(-2) - hits
    iou = np.divide(hits, union, out=np.full(hits.shape, np.nan), where=union > 0)
    mean: NDArray[np.float64] = 100 * np.nanmean(iou, axis=-1)
    return mean


def replicates(found: dict[str, NDArray[np.float64]], seeds: list[str]) -> NDArray[np.float64]:
    """Mean mIoU over drawn seeds of one method, (R,): `found` is (N, C + 1, C + 1) by seed."""
    generator = np.random.default_rng(0)  # the same draws for every method
    photos = len(found[seeds[0]])
    total = np.zeros(REPLICATES)
    drawn = generator.integers(len(seeds), size=(REPLICATES, len(seeds)))
    for place in range(len(seeds)):
        weights = generator.multinomial(photos, np.full(photos, 1 / photos), size=REPLICATES)
        for number, seed in enumerate(seeds):
            at = drawn[:, place] == number
            if at.any():
                flat = found[seed].reshape(photos, -1)
                summed = (weights[at] @ flat).reshape(-1, *found[seed].shape[1:])
                total[at] += miou(summed)
    return total / len(seeds)


def main(folder: str, table: str, split: str) -> None:
    """Write the table of the pairs for which both methods are there."""
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for path in sorted(Path(folder).glob(f"*-{split}-*.npz")):
        before, _, after = path.stem.partition(f"-{split}-")
        method, _, _ = after.rpartition("-")
        with np.load(path) as saved:
            found.setdefault(method, {})[before.rpartition("-")[2]] = saved["confusion"].astype(
                float
            )
    rows = []
    for method, minus in PAIRS:
        seeds = sorted(found.get(method, {}).keys() & found.get(minus, {}).keys())
        if not seeds:
            continue
        ours, theirs = found[method], found[minus]
        by_seed = [float(miou(ours[one].sum(0)) - miou(theirs[one].sum(0))) for one in seeds]
        draws = replicates(ours, seeds) - replicates(theirs, seeds)
        low, high = np.percentile(draws, [2.5, 97.5])
        shown = " ".join(f"{one:+.2f}" for one in by_seed)
        numbers = [f"{one:+.2f}" for one in (np.mean(by_seed), low, high)]
        rows.append((method, minus, *numbers, len(seeds), shown))
        log.info("%s", rows[-1])
    with Path(table).open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "val_dev")
