"""The maps that a training keeps of a few photos after each epoch: of which, and where they are.

Shapes: K present classes of a photo, h x w cells of the store's grid.
"""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError, RunMismatchError
from oaa_pl.runs.stage_folder import damaged

__all__ = [
    "epoch_of", "few_watched", "growth_epochs", "kept_maps", "watched_in", "watched_photos",
]  # fmt: skip

FEW = 4
"""Watched photos that go to a dashboard and into Figure 1."""


def watched_photos(source: Source, count: Any = FEW) -> list[int]:
    """Places of a few photos, of different classes where possible.

    The first photo of each class, in the order of the data set; then the second of each, and so on.
    The first places are the same, whatever the count.

    Args:
        source: the training photos.
        count: how many at most.

    Raises:
        ConfigError: if `count` is not a number of photos.
    """
    if type(count) is not int or count < 0:
        raise ConfigError(f"report.watched: expected a whole number, 0 or more, got {count!r}")
    chosen: dict[int, None] = {}
    of_class = [np.flatnonzero(column) for column in source.labels.T]
    for turn in range(max((len(places) for places in of_class), default=0)):
        if len(chosen) >= count:
            break
        chosen |= dict.fromkeys(sorted(int(p[turn]) for p in of_class if turn < len(p)))
    return [*chosen][:count]


def growth_epochs(classifier: Path) -> list[Path]:
    """Files with the maps of the watched photos, one for each epoch, in order."""
    return sorted((classifier / "growth").glob("epoch-*.npz"))


def epoch_of(file: Path) -> int:
    """Number of the epoch, from 1, of one of these files."""
    return int(file.stem.removeprefix("epoch-")) + 1


def watched_in(files: Sequence[Path]) -> list[int]:
    """Places of the photos whose maps all of these files hold, ascending.

    A training that was resumed with another `report.watched` has more of them in some epochs.

    Raises:
        RunMismatchError: if a file is damaged.
    """
    found = [set(kept_maps(file, "cumulative")) for file in files]
    return sorted(set.intersection(*found)) if found else []


def few_watched(files: Sequence[Path], source: Source) -> list[int]:
    """The first `FEW` of the photos that a training watched, in the order of `watched_photos`.

    Args:
        files: of `growth_epochs`.
        source: the training photos.

    Raises:
        RunMismatchError: if a file is damaged.
    """
    watched = watched_in(files)
    return [place for place in watched_photos(source, len(source.ids)) if place in watched][:FEW]


def kept_maps(file: Path, kind: str) -> dict[int, NDArray[np.float32]]:
    """The maps of one epoch.

    Args:
        file: of `growth_epochs`.
        kind: "cumulative" or "attention"; under several processes the second may lack photos.

    Returns:
        Place of a photo -> its maps in [0, 1], (K, h, w).

    Raises:
        RunMismatchError: if the file is damaged.
    """
    try:
        # Opened here: NumPy leaves a damaged file open.
        with file.open("rb") as stream, np.load(stream) as maps:
            named = ((re.fullmatch(rf"{kind}-(\d+)", name), name) for name in maps.files)
            return {int(m[1]): maps[name].astype(np.float32) for m, name in named if m}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise RunMismatchError(damaged(file, repr(error))) from error
