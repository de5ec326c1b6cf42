"""Save the maps of stores as the code that made them reads them: `maps.npz` beside each store."""

import sys
from pathlib import Path

import numpy as np

from oaa_pl.store.reader import StoreReader


def save_maps(store: Path) -> None:
    reader = StoreReader(store)
    maps = np.stack([reader.dense(image) for image in range(len(reader.pairs.ids))])
    np.savez_compressed(store.with_name("maps.npz"), maps=maps, rows=reader.rows)


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        save_maps(Path(folder))
