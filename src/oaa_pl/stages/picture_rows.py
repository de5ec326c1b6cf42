"""The page's rows of pictures: photos through the methods, and a map through the epochs."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.data.source import Source
from oaa_pl.proxy.palette import load_label
from oaa_pl.proxy.resize import to_photo
from oaa_pl.report.grid import GridRow, GrowthStrip
from oaa_pl.report.growth import growth_caption
from oaa_pl.report.methods import methods
from oaa_pl.report.pictures import Picture, heat_overlay, label_overlay
from oaa_pl.runs.folders import Run
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.growth import epoch_of, few_watched, growth_epochs, kept_maps
from oaa_pl.stages.photo_layers import Predicted
from oaa_pl.stages.pictures import spread
from oaa_pl.stages.trained import segment_photo
from oaa_pl.store.reader import StoreReader

__all__ = ["growth_strips", "predicted_photos", "training_rows", "validation_rows"]

_FRAMES, _STRIPS = 9, 2


def predicted_photos(parts: Configured, train: Source) -> Predicted:
    """Predictions of the training photos shown, by the last method's segmenter.

    Args:
        parts: of the run.
        train: the training photos.

    Raises:
        WeightsError: if the segmenter's checkpoint is missing, damaged, or of another network.
    """
    trained = _last_finished(parts.value("methods"), parts.run.segmenter)
    if trained is None:
        return Predicted("", {})
    checkpoint = parts.run.segmenter(trained) / LAST
    segment = segment_photo(parts.segmenting, checkpoint, len(train.classes))
    places = spread(len(train.ids), parts.value("report.images"))
    return Predicted(trained, {one: segment.label(train.photo(one)) for one in places})


def training_rows(parts: Configured, train: Source, predicted: Predicted) -> Iterator[GridRow]:
    """Training photos: maps, proxy label and prediction, beside the truth if there is one.

    Args:
        parts: of the run.
        train: the training photos.
        predicted: of `predicted_photos`.

    Raises:
        StoreError: if a store cannot be read.
        BadMaskError: if a label map or mask cannot be read.
    """
    run, compared = parts.run, parts.value("methods")
    readers = {
        one.short: StoreReader(run.attention(name) / "store")
        for name, one in methods().items()
        if not (one.control or one.ablation) and (run.attention(name) / "done.json").is_file()
    }
    last = _last_finished(compared, run.labels)
    for index in spread(len(train.ids), parts.value("report.images")):
        photo = train.photo(index)
        size = (photo.shape[0], photo.shape[1])
        panels: dict[str, Picture] = {"photo": photo}
        for name, reader in readers.items():
            whole = to_photo(reader.maps(index).attention, size)
            panels[name] = heat_overlay(photo, whole.max(axis=0))
        if last is not None:
            proxy = load_label(run.labels(last) / "proxy" / f"{train.ids[index]}.png")
            panels["proxy"] = label_overlay(photo, proxy)
        if index in predicted.labels:
            panels["prediction"] = label_overlay(photo, predicted.labels[index])
        if train.has_masks:
            panels["truth"] = label_overlay(photo, train.mask(index))
        yield GridRow(_name(train, index), _tags(train, index), panels)


def validation_rows(parts: Configured, val: Source | None) -> Iterator[GridRow]:
    """Validation photos: predictions of the segmenter, beside the truth if there is one.

    Args:
        parts: of the run.
        val: the validation photos, if there are any.

    Raises:
        BadMaskError: if a label map or mask cannot be read.
    """
    run = parts.run
    last = _last_finished(parts.value("methods"), run.segmentations, "metrics.csv")
    if val is None or last is None:
        return
    for index in spread(len(val.ids), parts.value("report.images") // 2):
        photo = val.photo(index)
        path = run.segmentations(last) / "predictions" / f"{val.ids[index]}.png"
        panels = {"photo": photo, "prediction": label_overlay(photo, load_label(path))}
        if val.has_masks:
            panels["truth"] = label_overlay(photo, val.mask(index))
        yield GridRow(_name(val, index), _tags(val, index), panels)


def growth_strips(run: Run, train: Source, threshold: float) -> Iterator[GrowthStrip]:
    """The cumulative maps of the first photos that the training watched, epoch by epoch.

    Args:
        run: its folders.
        train: the training photos.
        threshold: what counts as attended in the caption, in [0, 1].

    Raises:
        RunMismatchError: if the kept maps of an epoch are damaged.
    """
    files = growth_epochs(run.classifier)
    for index in few_watched(files, train)[:_STRIPS]:
        photo = train.photo(index)
        size = (photo.shape[0], photo.shape[1])
        category = int(np.flatnonzero(train.labels[index])[0])
        cumulative, attention = {}, {}
        for file in files:
            cumulative[epoch_of(file)] = kept_maps(file, "cumulative")[index][0]
            seen = kept_maps(file, "attention")
            if index in seen:  # under several processes it may lack
                attention[epoch_of(file)] = seen[index][0]
        epochs = sorted(cumulative)
        frames = [
            (epochs[place], heat_overlay(photo, to_photo(cumulative[epochs[place]][None], size)[0]))
            for place in spread(len(epochs), _FRAMES)
        ]
        caption = growth_caption(cumulative, attention, threshold)
        yield GrowthStrip(train.ids[index], train.classes[category], photo, frames, caption)


def _last_finished(
    methods: Sequence[str], folder_of: Callable[[str], Path], marker: str = "done.json"
) -> str | None:
    """The last method, in the order of the paper's table, that has finished a stage."""
    finished = (m for m in reversed(methods) if (folder_of(m) / marker).is_file())
    return next(finished, None)


def _name(source: Source, index: int) -> str:
    """An image's id, with its split unless the id begins with it."""
    image_id = source.ids[index]
    return image_id if image_id.startswith(source.split) else f"{source.split} {image_id}"


def _tags(source: Source, index: int) -> list[str]:
    return [source.classes[c] for c in np.flatnonzero(source.labels[index])]
