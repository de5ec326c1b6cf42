"""The paper's Figures 1, 4 and 5, from a run: each one picture, small enough to be committed.

Which images are shown is a rule, never a choice: see each function.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from oaa_pl.config.sources import maps_of
from oaa_pl.data.source import Source
from oaa_pl.metrics import SegmentationScore
from oaa_pl.proxy.palette import load_label
from oaa_pl.proxy.resize import to_photo
from oaa_pl.report.grid import GridRow, save_contact_sheet
from oaa_pl.report.methods import methods
from oaa_pl.report.pictures import Picture, heat_overlay, label_overlay
from oaa_pl.runs.folders import Run
from oaa_pl.stages.growth import epoch_of, few_watched, growth_epochs, kept_maps
from oaa_pl.stages.pictures import spread

__all__ = ["image_miou", "write_figures"]

_EPOCHS = 8  # columns of Figure 1
_IMAGES = 8  # rows of Figure 5
_QUANTILES = (0.95, 0.85, 0.7, 0.5, 0.3, 0.15, 0.05)  # rows of Figure 4, good to bad


def write_figures(run: Run, train: Source, val: Source | None, folder: Path) -> list[Path]:
    """Draw what the run has the parts of.

    Args:
        run: whose finished stages are shown.
        train: the training photos, for Figures 1 and 5.
        val: the validation photos, for Figure 4.
        folder: gets `figure1.jpg`, `figure4.jpg` and `figure5.jpg`, 200 KB each at most.

    Returns:
        The files written.

    Raises:
        OutputError: if one cannot be written.
    """
    rows = {
        "figure1": list(_attention_over_training(run, train)),
        "figure4": list(_segmentations(run, val)) if val is not None and val.has_masks else [],
        "figure5": list(_side_by_side(run, train)),
    }
    written = []
    for name, shown in rows.items():
        if shown:
            save_contact_sheet(folder / f"{name}.jpg", shown)
            written.append(folder / f"{name}.jpg")
    return written


def _attention_over_training(run: Run, train: Source) -> Iterator[GridRow]:
    """Figure 1: the attention of single epochs, and below it what has been accumulated by then.

    The first images that the training watched (see `growth.few_watched`); the first class of each.
    """
    files = growth_epochs(run.classifier)
    chosen = [files[i] for i in spread(len(files), _EPOCHS)]
    for index in few_watched(files, train):
        photo = train.photo(index)
        name = train.classes[int(np.flatnonzero(train.labels[index])[0])]
        for key, title in (("attention", "of the epoch"), ("cumulative", "accumulated")):
            panels = {"photo": photo}
            for path in chosen:
                maps = kept_maps(path, key)
                if index in maps:  # under several processes it may lack
                    panels[f"epoch {epoch_of(path)}"] = _heat(photo, maps[index][0])
            yield GridRow(train.ids[index], [f"{name}: {title}"], panels)


def _side_by_side(run: Run, train: Source) -> Iterator[GridRow]:
    """Figure 5: the methods' maps of one image side by side, the strongest class at each pixel.

    Of each class the first image with the fewest tags; of these images eight, evenly spread.
    """
    # The ablations last.
    shown = sorted(methods().values(), key=lambda one: one.ablation)
    folders = {one.figure: run.attention(one.name) for one in shown if one.figure is not None}
    readers = {
        title: maps_of(train, folder)
        for title, folder in folders.items()
        if (folder / "done.json").is_file()
    }
    if not readers:
        return
    tags = train.labels.sum(axis=1).astype(float)
    present = (column > 0 for column in train.labels.T if column.any())
    firsts = list(dict.fromkeys(int(np.where(has, tags, np.inf).argmin()) for has in present))
    for index in (firsts[place] for place in spread(len(firsts), _IMAGES)):
        photo = train.photo(index)
        panels = {"photo": photo}
        for title, reader in readers.items():
            panels[title] = _heat(photo, reader.maps(index).attention.max(axis=0))
        if train.has_masks:
            panels["truth"] = label_overlay(photo, train.mask(index))
        names = [train.classes[c] for c in np.flatnonzero(train.labels[index])]
        yield GridRow(train.ids[index], names, panels)


def _segmentations(run: Run, val: Source) -> Iterator[GridRow]:
    """Figure 4: predictions, good ones and failures, at fixed quantiles of the images' own mIoU."""
    folders = {
        one.figure: run.segmentations(name) / "predictions"
        for name, one in methods().items()
        if one.figure is not None
        and not one.ablation
        and (run.segmentations(name) / "metrics.csv").is_file()
    }
    if not folders:
        return
    judged = list(folders)[-1]
    scores = np.array([image_miou(val, folders[judged], index) for index in range(len(val.ids))])
    # An image without one pixel that counts has no score, and no place among good and bad.
    order = [place for place in np.argsort(scores, kind="stable") if not np.isnan(scores[place])]
    if not order:
        return
    places = dict.fromkeys(int(order[round(q * (len(order) - 1))]) for q in _QUANTILES)
    for index in places:
        photo = val.photo(index)
        panels: dict[str, Picture] = {"photo": photo}
        for title, folder in folders.items():
            predicted = load_label(folder / f"{val.ids[index]}.png")
            panels[title] = label_overlay(photo, predicted)
        panels["truth"] = label_overlay(photo, val.mask(index))
        tags = [val.classes[c] for c in np.flatnonzero(val.labels[index])]
        yield GridRow(val.ids[index], [*tags, f"{judged}: {100 * scores[index]:.0f} %"], panels)


def image_miou(val: Source, folder: Path, index: int) -> float:
    """MIoU of one image, over the classes in its mask or in its prediction, in [0, 1]."""
    score = SegmentationScore(len(val.classes) + 1)
    predicted = load_label(folder / f"{val.ids[index]}.png")
    score.update(torch.from_numpy(predicted), torch.from_numpy(val.mask(index)))
    return float(score.compute()["miou"])


def _heat(photo: Picture, attention: NDArray[np.floating]) -> Picture:
    size = (photo.shape[0], photo.shape[1])
    return heat_overlay(photo, to_photo(attention[None].astype(np.float32), size)[0])
