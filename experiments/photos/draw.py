"""Three small sets as a user may have them: 60 photos of four classes, tags, and photos to score.

Drawn from `train_lite` of voc2012-320; each photo is of the class that the set has fewest of. The
photos to score are all of `val_dev` that have no other class than the four.

    python experiments/photos/draw.py <voc2012-320> <folder to write>
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.voc import VocSource
from oaa_pl.ids import IGNORED
from oaa_pl.proxy.palette import save_label

SETS = (
    ("bus", "cat", "person", "pottedplant"),
    ("bird", "car", "dog", "sofa"),
    ("aeroplane", "bottle", "horse", "motorbike"),
)
PHOTOS = 60


def only(source: VocSource, chosen: list[int]) -> list[int]:
    """Places of the photos that have no other class than the chosen ones."""
    others = np.delete(source.labels, chosen, axis=1).any(1)
    return [int(place) for place in np.flatnonzero(~others)]


def drawn(labels: NDArray[np.uint8], pool: list[int], seed: int) -> list[int]:
    """Places of `PHOTOS` photos of a pool, one after another of the class with fewest: (N, 4)."""
    rest = [int(place) for place in np.random.default_rng(seed).permutation(pool)]
    chosen: list[int] = []
    count = np.zeros(labels.shape[1], int)
    while rest and len(chosen) < PHOTOS:
        left = labels[rest].any(0)
        fewest = np.where(left, count, np.iinfo(np.int64).max).argmin()
        place = next(place for place in rest if labels[place, fewest])
        rest.remove(place)
        chosen.append(place)
        count = count + labels[place]
    return chosen


def main(root: str, output: str) -> None:
    """Write the sets."""
    train, val = VocSource(Path(root), "train_lite"), VocSource(Path(root), "val_dev")
    for number, names in enumerate(SETS):
        classes = [train.classes.index(name) for name in names]
        home = Path(output) / f"set{number}"
        (home / "photos").mkdir(parents=True)
        some = drawn(train.labels[:, classes], only(train, classes), number)
        for table, source, places in (
            ("tags.csv", train, some),
            ("val.csv", val, only(val, classes)),
        ):
            lines = ["image,tags"]
            for place in places:
                name, mask = source.ids[place], source.mask(place)
                tags = [names[at] for at in np.flatnonzero(source.labels[place, classes])]
                lines.append(f"{name}.jpg,{';'.join(tags)}")
                shutil.copy(source.photo_path(place), home / f"photos/{name}.jpg")
                own = np.where(mask == IGNORED, IGNORED, 0).astype(np.uint8)
                for at, category in enumerate(classes):
                    own[mask == category + 1] = at + 1
                save_label(home / f"masks/{name}.png", own)
            (home / table).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
