"""The photos of the page's explorer: their maps, labels and scores, read from one run or two.

Shapes: K classes of an image; H x W pixels of the photo; h x w cells of a map.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError
from oaa_pl.metrics import SegmentationScore
from oaa_pl.proxy.resize import each_to_photo
from oaa_pl.report.explorer import ExploredPhoto, method_key
from oaa_pl.report.layers import label_layer, map_layer
from oaa_pl.report.pictures import Picture, data_uri
from oaa_pl.runs.folders import Run
from oaa_pl.stages.pictures import spread
from oaa_pl.stages.run_beside import RunBeside
from oaa_pl.stages.run_layers import Made, RunLayers

__all__ = ["Predicted", "explored_photos"]

Label = NDArray[np.uint8]

_QUALITY = 78
# Pixels of a photo's long side by the number of photos, twice for two runs: 500 photos of VOC stay
# below 20 MB.
_SIDES = ((140, 320), (280, 256), (600, 200), (1200, 144))


class Predicted(NamedTuple):
    """Predictions of some training photos, which no stage keeps.

    Attributes:
        method: whose segmenter made them.
        labels: place of a photo -> label map, (H, W) uint8.
    """

    method: str
    labels: Mapping[int, Label]


def explored_photos(
    run: Run,
    train: Source,
    val: Source | None,
    threshold: float,
    wanted: Any,
    predicted: Predicted,
    beside: RunBeside | None = None,
) -> list[ExploredPhoto]:
    """Read the layers of photos that are evenly spread over both splits.

    Args:
        run: whose finished stages are shown.
        train: the training photos: with maps and proxy labels. The photos that the training
            watched are always among them.
        val: the validation photos: with predictions; half of the photos at most.
        threshold: attention from which a pixel belongs to its class, for the maps' scores.
        wanted: number of photos, or more if as many were watched or predicted.
        predicted: predictions of training photos.
        beside: a second run, whose layers are shown too; then only photos of both are shown.

    Returns:
        The photos in the order of the data set, training photos first.

    Raises:
        ConfigError: if `wanted` is not a number of photos.
        StoreError: if a store cannot be read.
        BadMaskError: if a label map or mask cannot be read.
        RunMismatchError: if a layer of this run is of another photo, or damaged.
    """
    if type(wanted) is not int or wanted < 0:
        raise ConfigError(f"report.photos: expected a whole number, 0 or more, got {wanted!r}")
    own = RunLayers(run, train.ids)
    runs = [own] if beside is None else [own, beside.layers]
    of_train: Sequence[int] = range(len(train.ids)) if beside is None else beside.train
    of_val: Sequence[int] = []
    if val is not None and own.scored:
        of_val = _spread(range(len(val.ids)) if beside is None else beside.val, wanted // 2)
    always = {*map(train.ids.index, own.watched), *predicted.labels} & {*of_train}
    of_train = sorted({*_spread(of_train, max(wanted - len(of_val), 0)), *always})
    drawn = (len(of_train) + len(of_val)) * len(runs)
    side = next((side for most, side in _SIDES if drawn <= most), _SIDES[-1][1])
    reader = _Layers(runs, side, threshold)
    photos = [reader.training(train, place, predicted) for place in of_train]
    if val is not None:
        photos += [reader.validation(val, place) for place in of_val]
    if beside is not None:
        beside.report_unreadable()
    return photos


class _Layers:
    """Makes one photo's entry: layers, and scores where there is a mask."""

    def __init__(self, runs: Sequence[RunLayers], side: int, threshold: float) -> None:
        self.runs, self.side, self.threshold = runs, side, threshold

    def training(self, train: Source, place: int, predicted: Predicted) -> ExploredPhoto:
        photo, image_id = train.photo(place), train.ids[place]
        made = [run.training(image_id, photo.shape[:2]) for run in self.runs]
        if place in predicted.labels:
            made[0].labels["prediction"] = {predicted.method: predicted.labels[place]}
        epochs = [run.epochs(image_id) for run in self.runs]
        return replace(self._entry(train, place, photo, made), epochs=epochs)

    def validation(self, val: Source, place: int) -> ExploredPhoto:
        photo = val.photo(place)
        made = [run.validation(val.ids[place], photo.shape[:2]) for run in self.runs]
        return self._entry(val, place, photo, made)

    def _entry(
        self, source: Source, index: int, photo: Picture, made: Sequence[Made]
    ) -> ExploredPhoto:
        size = (photo.shape[0], photo.shape[1])
        truth = source.mask(index) if source.has_masks else None
        layers: dict[str, dict[str, str]] = {}
        labels: dict[str, dict[str, Label]] = {}
        for number, one in enumerate(made):
            for layer, by in one.labels.items():
                for method, label in by.items():
                    name = method_key(method, number)
                    layers.setdefault(layer, {})[name] = label_layer(label, self.side)
                    labels.setdefault(layer, {})[name] = label
            for method, (categories, attention) in one.maps.items():
                name = method_key(method, number)
                layers.setdefault("map", {})[name] = map_layer(attention.max(axis=0))
                if truth is not None:
                    label = _strongest(np.asarray(categories), attention, size, self.threshold)
                    labels.setdefault("map", {})[name] = label
        return ExploredPhoto(
            image_id=source.ids[index],
            split=source.split,
            tags=[source.classes[c] for c in np.flatnonzero(source.labels[index])],
            size=size,
            photo=data_uri(photo, self.side, _QUALITY),
            layers=layers,
            truth=None if truth is None else label_layer(truth, self.side),
            scores={} if truth is None else _scores(truth, labels, len(source.classes) + 1),
        )


def _spread(places: Sequence[int], wanted: int) -> list[int]:
    """Up to `wanted` of these places, evenly spread."""
    return [places[one] for one in spread(len(places), wanted)]


def _strongest(
    categories: NDArray[np.integer],
    attention: NDArray[np.float32],
    size: tuple[int, int],
    threshold: float,
) -> Label:
    """The strongest class of each pixel, background where its attention is below the threshold."""
    label, best = np.zeros(size, np.uint8), np.full(size, -1.0, np.float32)
    for category, whole in zip(categories, each_to_photo(attention, size), strict=True):
        wins = (whole >= threshold) & (whole > best)
        label[wins], best[wins] = category + 1, whole[wins]
    return label


def _scores(
    truth: Label, labels: Mapping[str, Mapping[str, Label]], num_classes: int
) -> dict[str, dict[str, float]]:
    """MIoU in percent of each label map, over the classes in it or in the truth."""

    def mean_iou(label: Label) -> float:
        score = SegmentationScore(num_classes)
        score.update(torch.from_numpy(label), torch.from_numpy(truth))
        return 100 * float(score.compute()["miou"])

    return {
        layer: {name: mean_iou(label) for name, label in by.items()} for layer, by in labels.items()
    }
