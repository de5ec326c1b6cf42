"""The embedded data set as a source: drawn once, then read from files.

Shapes: photos (H, W, 3) uint8 RGB, masks (H, W) uint8, 0 background, c + 1 = class c.
"""

import csv
from pathlib import Path

import numpy as np

from oaa_pl.data.source import FileSource
from oaa_pl.data.synthetic.cache import MASKS, PHOTOS, TAGS, Recipe, drawn_folder
from oaa_pl.data.synthetic.scene import CLASSES
from oaa_pl.files.home import expanded_path

__all__ = ["SyntheticSource"]


class SyntheticSource(FileSource):
    """One split of the embedded data set. A photo has a tag if any pixel of the class is visible.

    Masks were drawn with the photos, but training gets only tags: only `mask`, which evaluation
    calls, opens a mask's file.

    Args:
        root: folder of the cache; made at the first use.
        split: "train" or "val".
        images: number of images, 1 or more.
        seed: of the drawings, 0 or more.
        long_side: pixels of each photo's longer side, 48 or more.
        reliability: probability of each weak cue, in [0, 1]: see `data.synthetic.parts`.
        name: of the data set, in results.

    Raises:
        ConfigError: if a value is out of range.
        OutputError: if the cache cannot be written.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        images: int,
        seed: int,
        long_side: int,
        reliability: float,
        name: str = "synthetic",
    ) -> None:
        recipe = Recipe(split, images, seed, long_side, reliability)
        folder = drawn_folder(expanded_path(root), recipe)
        with (folder / TAGS).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        ids = [row["image"] for row in rows]
        tags = [[category in row["tags"].split() for category in CLASSES] for row in rows]
        super().__init__(
            name,
            split,
            CLASSES,
            ids,
            np.asarray(tags, dtype=np.uint8),
            photos=[folder / PHOTOS / f"{i}.png" for i in ids],
            masks=[folder / MASKS / f"{i}.png" for i in ids],
        )
