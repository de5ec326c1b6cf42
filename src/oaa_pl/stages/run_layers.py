"""What a run made of a photo: every method's map, proxy label and prediction, by the photo's id.

Shapes: K classes of an image; H x W pixels of the photo; h x w cells of a map.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import RunMismatchError
from oaa_pl.proxy.palette import load_label
from oaa_pl.report.layers import map_layer
from oaa_pl.report.methods import methods
from oaa_pl.runs.folders import Run
from oaa_pl.stages.growth import epoch_of, growth_epochs, kept_maps, watched_in
from oaa_pl.stages.pictures import spread
from oaa_pl.store.base import ImageMaps
from oaa_pl.store.reader import StoreReader

__all__ = ["Made", "RunLayers"]

Label = NDArray[np.uint8]
Value = TypeVar("Value")

_EPOCHS = 24  # frames of a photo at most


class Made(NamedTuple):
    """What a run made of one photo.

    Attributes:
        maps: method -> classes and maps of the photo.
        labels: "proxy" or "prediction" -> method -> label map, (H, W).
    """

    maps: dict[str, ImageMaps]
    labels: dict[str, dict[str, Label]]


class RunLayers:
    """What a run made, photo by photo.

    Args:
        run: its folders.
        ids: of its training photos, in the order of its data set; None: as its stores have them.
        read: called with a folder and with what reads something below it; returns what was read,
            or None to continue without it.

    Attributes:
        run: as above.
        stores: method -> its finished maps.
        scored: methods whose segmentations were scored.

    Raises:
        StoreError: if a store cannot be opened.
        RunMismatchError: if the kept maps of an epoch are damaged.
    """

    def __init__(
        self,
        run: Run,
        ids: Sequence[str] | None,
        read: Callable[[Path, Callable[[], Any]], Any] = lambda _, make: make(),
    ) -> None:
        self.run, self._read = run, read
        folders = {name: run.attention(name) for name in methods()}
        self.stores: dict[str, StoreReader] = _known({
            name: read(folder, partial(StoreReader, folder / "store"))
            for name, folder in folders.items()
            if (folder / "done.json").is_file()
        })  # fmt: skip
        self._labelled = [name for name in methods() if (run.labels(name) / "proxy").is_dir()]
        self.scored = [
            name for name in methods() if (run.segmentations(name) / "metrics.csv").is_file()
        ]
        self._growth = growth_epochs(run.classifier)
        if ids is None:
            ids = next((store.pairs.ids for store in self.stores.values()), ())
        self._places = {image_id: place for place, image_id in enumerate(ids)}
        self._watched = read(run.classifier, partial(watched_in, self._growth)) or []

    @property
    def watched(self) -> list[str]:
        """Ids of the training photos whose maps were kept for every epoch."""
        ids = [*self._places]
        return [ids[place] for place in self._watched if place < len(ids)]

    def training(self, image_id: str, size: tuple[int, int]) -> Made:
        """What was made of a training photo.

        Args:
            image_id: its id.
            size: (H, W) of the photo.

        Raises:
            NoSuchMapError: if a store does not have the photo.
            MissingMaskError: if it has no proxy label.
            BadMaskError: if its proxy label cannot be read.
            RunMismatchError: if its proxy label has another size.
        """
        maps = {
            name: self._read(store.path.parent, partial(_maps, store, image_id))
            for name, store in self.stores.items()
        }
        folders = {name: self.run.labels(name) / "proxy" for name in self._labelled}
        return Made(_known(maps), {"proxy": self._labels(folders, image_id, size)})

    def validation(self, image_id: str, size: tuple[int, int]) -> Made:
        """What was made of a validation photo.

        Args:
            image_id: its id.
            size: (H, W) of the photo.

        Raises:
            MissingMaskError: if it has no prediction.
            BadMaskError: if its prediction cannot be read.
            RunMismatchError: if its prediction has another size.
        """
        folders = {name: self.run.segmentations(name) / "predictions" for name in self.scored}
        return Made({}, {"prediction": self._labels(folders, image_id, size)})

    def epochs(self, image_id: str) -> list[tuple[int, str]]:
        """A photo's cumulative map after each epoch, the strongest of its classes at each cell.

        Args:
            image_id: of a training photo.

        Returns:
            Epoch, from 1, and picture as of `map_layer`; empty for a photo that was not watched.

        Raises:
            RunMismatchError: if the maps of an epoch are damaged.
        """
        place = self._places.get(image_id)
        if place is None or place not in self._watched:
            return []
        files = [self._growth[one] for one in spread(len(self._growth), _EPOCHS)]
        return [
            (epoch_of(file), map_layer(kept_maps(file, "cumulative")[place].max(axis=0)))
            for file in files
        ]

    def _labels(
        self, folders: Mapping[str, Path], image_id: str, size: tuple[int, int]
    ) -> dict[str, Label]:
        labels = {
            name: self._read(folder, partial(_label, folder / f"{image_id}.png", size))
            for name, folder in folders.items()
        }
        return _known(labels)


def _maps(store: StoreReader, image_id: str) -> ImageMaps:
    place = store.pairs.place_of(image_id)
    if place is None:
        raise RunMismatchError(f"{store.path} has no photo {image_id!r}; it is of other photos")
    return store.maps(place)


def _label(path: Path, size: tuple[int, int]) -> Label:
    label = load_label(path)
    if label.shape != size:
        raise RunMismatchError(
            f"{path} has {label.shape} pixels, its photo {size}; it is of another photo"
        )
    return label


def _known(found: Mapping[Any, Value | None]) -> dict[Any, Value]:
    """Without what could not be read."""
    return {name: one for name, one in found.items() if one is not None}
