"""Draw lists from `train` of voc2012-320: photos to train on, and photos to choose on.

`train_hold`: an eighth of every class's photos, three to twenty, of all of `train`; nothing is
trained on them. `train_lite`: of the other photos those of `train_mini` and, one after another, a
photo of the class that the list has fewest of. `tune_fit` and `tune_hold`: `train_lite` in two
parts, the second with two fifths of every class's photos and those of `train_hold`. `train_fit`:
all photos of `train` that are not in `train_hold`; `mini_fit`: those of them that `train_mini` has.
All depend on the lists and the tags alone.

    python experiments/table2_lite/split.py <voc2012-320> <folder of the lists>
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.voc import VocSource

SIZE = 1000  # photos of `train_lite`
SEED = 0

log = logging.getLogger(__name__)


def held_out(
    labels: NDArray[np.bool_], order: Sequence[int], quota: NDArray[np.int64]
) -> list[int]:
    """Places of photos with at least a quota of each class, rare classes first: (N, C), n, (C,)."""
    chosen: list[int] = []
    count = np.zeros(labels.shape[1], int)
    for category in labels.sum(0).argsort(kind="stable"):
        for place in order:
            if count[category] >= quota[category]:
                break
            if labels[place, category] and place not in chosen:
                chosen.append(place)
                count += labels[place]
    return sorted(chosen)


def grown(start: list[int], pool: list[int], labels: NDArray[np.bool_], size: int) -> list[int]:
    """`start` and as many of `pool` as make `size`, each of the class with fewest photos so far."""
    chosen, rest = list(start), list(pool)
    count = labels[chosen].sum(0)
    while len(chosen) < size and rest:
        left = labels[rest].any(0)
        rarest = np.where(left, count, np.iinfo(np.int64).max).argmin()
        place = next(place for place in rest if labels[place, rarest])
        rest.remove(place)
        chosen.append(place)
        count = count + labels[place]
    return sorted(chosen)


def main(root: str, folder: str) -> None:
    """Write the lists."""
    train, mini = VocSource(root, "train"), set(VocSource(root, "train_mini").ids)
    labels = train.labels > 0
    order = np.random.default_rng(SEED).permutation(len(train.ids)).tolist()
    hold = held_out(labels, order, np.maximum(3, labels.sum(0) // 8).clip(max=20))
    free = [place for place in order if place not in set(hold)]
    start = [place for place in free if train.ids[place] in mini]
    lite = grown(start, [place for place in free if place not in set(start)], labels, SIZE)
    part = set(lite)
    other = held_out(
        labels, [place for place in order if place in part], labels[lite].sum(0) * 2 // 5
    )
    lists = {
        "train_lite": lite, "train_hold": hold,
        "tune_fit": sorted(part - set(other)), "tune_hold": sorted(hold + other),
        "train_fit": sorted(free), "mini_fit": sorted(start),
    }  # fmt: skip
    for name, places in lists.items():
        names = "".join(f"{train.ids[place]}\n" for place in places)
        (Path(folder) / f"{name}.txt").write_text(names)
        count = dict(zip(train.classes, labels[places].sum(0).tolist(), strict=True))
        log.info("%s: %d photos, %s", name, len(places), count)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(sys.argv[1], sys.argv[2])
