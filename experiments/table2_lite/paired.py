"""`paired.csv` of seeds whose heads were scored before `oaa evaluate` knew `evaluate.by_photo`.

    python experiments/table2_lite/paired.py <folder of .npz> <table.csv> [<split>]

Each file `<experiment>-<seed>-<split>-<method>-<seed>.npz` has `confusion`, (N, C + 1, C + 1).
"""

import csv
import sys
from pathlib import Path

import numpy as np

from oaa_pl.metrics.bootstrap import difference, resampled
from oaa_pl.report.differences import PAIRS

COLUMNS = ("method", "minus", "difference", "low", "high", "seeds", "by seed")
RENAMED = {"true_masks": "masks"}
# The last epoch's own maps: made in training mode, as all that is accumulated.
LAST = tuple((method, "last") for method in ("oaa_max", "oaa_mean", "cam"))


def main(folder: str, table: str, split: str = "val_dev") -> None:
    """Write the table of the pairs for which both methods are there."""
    found: dict[str, dict[int, np.ndarray]] = {}
    for path in sorted(Path(folder).glob(f"*-{split}-*.npz")):
        before, _, after = path.stem.partition(f"-{split}-")
        method = after.rpartition("-")[0]
        with np.load(path) as saved:
            counts = found.setdefault(RENAMED.get(method, method), {})
            counts[int(before.rpartition("-")[2])] = saved["confusion"]
    rows = []
    for pair in (*PAIRS, *LAST):
        seeds = sorted({*found.get(pair[0], {})} & {*found.get(pair[1], {})})
        if seeds:
            ours, theirs = ({seed: found[name][seed] for seed in seeds} for name in pair)
            one = difference(ours, theirs, (resampled(ours), resampled(theirs)))
            shown = " ".join(f"{value:+.2f}" for value in one.by_seed.values())
            rows.append((*pair, *(f"{value:+.2f}" for value in one[:3]), len(seeds), shown))
    with Path(table).open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main(*sys.argv[1:])
