"""The photos of the page's explorer: their maps, labels and scores, read from a run.

Shapes: K classes of an image; H x W pixels of the photo; h x w cells of a map.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError
from oaa_pl.metrics import SegmentationScore
from oaa_pl.proxy.palette import load_label
from oaa_pl.proxy.resize import each_to_photo
from oaa_pl.report.explorer import ExploredPhoto
from oaa_pl.report.layers import label_layer, map_layer
from oaa_pl.report.methods import methods
from oaa_pl.report.pictures import data_uri
from oaa_pl.runs.folders import Run
from oaa_pl.stages.pictures import growth_epochs, spread, watched_in
from oaa_pl.store.reader import StoreReader

__all__ = ["Predicted", "explored_photos"]

Label = NDArray[np.uint8]

_EPOCHS = 24  # frames of a photo at most
_QUALITY = 78
# Pixels of a photo's long side by the number of photos: 500 photos of VOC stay below 20 MB.
_SIDES = ((120, 320), (250, 256), (500, 200))


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

    Returns:
        The photos in the order of the data set, training photos first.

    Raises:
        ConfigError: if `wanted` is not a number of photos.
        StoreError: if a store cannot be read.
        BadMaskError: if a label map or mask cannot be read.
    """
    if type(wanted) is not int or wanted < 0:
        raise ConfigError(f"report.photos: expected a whole number, 0 or more, got {wanted!r}")
    shown = [name for name in methods() if (run.attention(name) / "done.json").is_file()]
    scored = [name for name in methods() if (run.segmentations(name) / "metrics.csv").is_file()]
    of_val = min(len(val.ids), wanted // 2) if val is not None and scored else 0
    files = growth_epochs(run.classifier)
    watched = watched_in(files)
    places = {*spread(len(train.ids), max(wanted - of_val, 0)), *watched, *predicted.labels}
    side = next((side for most, side in _SIDES if len(places) + of_val <= most), _SIDES[-1][1])
    reader = _Layers(side, threshold)
    photos = [
        replace(photo, epochs=_epochs(files, index) if index in watched else ())
        for index, photo in _training(reader, run, train, shown, sorted(places), predicted)
    ]
    if val is not None and of_val:
        photos += _validation(reader, run, val, scored, spread(len(val.ids), of_val))
    return photos


class _Layers:
    """Makes one photo's entry: layers, and scores where there is a mask."""

    def __init__(self, side: int, threshold: float) -> None:
        self.side, self.threshold = side, threshold

    def photo(
        self,
        source: Source,
        index: int,
        stores: Mapping[str, StoreReader],
        labels: Mapping[str, Mapping[str, Label]],
    ) -> ExploredPhoto:
        photo = source.photo(index)
        size = (photo.shape[0], photo.shape[1])
        truth = source.mask(index) if source.has_masks else None
        layers = {
            layer: {name: label_layer(label, self.side) for name, label in by.items()}
            for layer, by in labels.items()
        }
        scores = {}
        if truth is not None:
            mean_iou = _judge(truth, len(source.classes) + 1)
            scores = {
                layer: {name: mean_iou(label) for name, label in by.items()}
                for layer, by in labels.items()
            }
        for name, store in stores.items():
            categories, attention = store.maps(index)
            layers.setdefault("map", {})[name] = map_layer(attention.max(axis=0))
            if truth is not None:
                label = _strongest(np.asarray(categories), attention, size, self.threshold)
                scores.setdefault("map", {})[name] = mean_iou(label)
        return ExploredPhoto(
            image_id=source.ids[index],
            split=source.split,
            tags=[source.classes[c] for c in np.flatnonzero(source.labels[index])],
            size=size,
            photo=data_uri(photo, self.side, _QUALITY),
            layers=layers,
            truth=None if truth is None else label_layer(truth, self.side),
            scores=scores,
        )


def _training(
    reader: _Layers,
    run: Run,
    train: Source,
    shown: Sequence[str],
    places: Sequence[int],
    predicted: Predicted,
) -> Iterator[tuple[int, ExploredPhoto]]:
    stores = {name: StoreReader(run.attention(name) / "store") for name in shown}
    labelled = [name for name in methods() if (run.labels(name) / "proxy").is_dir()]
    for index in places:
        labels = {
            "proxy": {
                name: load_label(run.labels(name) / "proxy" / f"{train.ids[index]}.png")
                for name in labelled
            }
        }
        if index in predicted.labels:
            labels["prediction"] = {predicted.method: predicted.labels[index]}
        yield index, reader.photo(train, index, stores, labels)


def _validation(
    reader: _Layers, run: Run, val: Source, scored: Sequence[str], places: Sequence[int]
) -> Iterator[ExploredPhoto]:
    for index in places:
        predictions = {
            name: load_label(run.segmentations(name) / "predictions" / f"{val.ids[index]}.png")
            for name in scored
        }
        yield reader.photo(val, index, {}, {"prediction": predictions})


def _epochs(files: Sequence[Path], index: int) -> list[tuple[int, str]]:
    """An image's cumulative map after each epoch, the strongest of its classes at each cell."""
    frames = []
    for file in (files[place] for place in spread(len(files), _EPOCHS)):
        with np.load(file) as maps:
            cumulative = maps[f"cumulative-{index}"].astype(np.float32)
        epoch = int(file.stem.removeprefix("epoch-")) + 1
        frames.append((epoch, map_layer(cumulative.max(axis=0))))
    return frames


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


def _judge(truth: Label, num_classes: int) -> Callable[[Label], float]:
    """A function of a label map: its mIoU in percent, over the classes in it or in the truth."""

    def mean_iou(label: Label) -> float:
        score = SegmentationScore(num_classes)
        score.update(torch.from_numpy(label), torch.from_numpy(truth))
        return 100 * float(score.compute()["miou"])

    return mean_iou
