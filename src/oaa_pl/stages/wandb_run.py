"""What W&B's run with the final scores has beside them: a table of photos, artifacts, its end."""

import logging
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.callbacks.overlays import mask_of
from oaa_pl.callbacks.wandb import StageLogger
from oaa_pl.data.source import Source
from oaa_pl.proxy.palette import load_label
from oaa_pl.report.pictures import shrink
from oaa_pl.runs.folders import Run
from oaa_pl.stages.figures import image_miou
from oaa_pl.stages.pictures import spread
from oaa_pl.stages.pipeline import Pipeline
from oaa_pl.training.notice import say_once

__all__ = ["complete"]

log = logging.getLogger(__name__)

_PHOTOS = 100  # rows of the table
_SIDE = 320  # pixels of a photo in it


def complete(logger: StageLogger, pipeline: Pipeline) -> None:
    """Add the table and the artifacts to W&B's run, end it, and report how to upload it.

    Args:
        logger: of the run.
        pipeline: whose predictions and stores are shown.
    """
    board, run = logger.experiment, pipeline.parts.run
    table = _table(pipeline)
    if table is not None:
        board.log({"photos": table})
    for kind in logger.artifacts:
        for name, folder in _artifacts(run, kind):
            artifact = wandb.Artifact(re.sub(r"[^\w.-]+", "-", f"{run.label}-{name}"), type=kind)
            artifact.add_dir(str(folder))
            board.log_artifact(artifact)
    offline = board.offline
    wandb.finish()
    if offline:
        place = shlex.quote(str(logger.save_dir if logger.moved else run.home))
        line = f"wandb sync $(find {place} -type d -name 'offline-run-*')"
        say_once(log, logging.INFO, f"W&B runs are offline; to upload them: {line}")


def _artifacts(run: Run, kind: str) -> Iterator[tuple[str, Path]]:
    """Name and folder of what the run has of a kind."""
    if kind == "report":
        folder = run.root.parent / "report"
        if folder.is_dir():
            yield "report", folder
        return
    for done in sorted((run.root / "attention").glob("*/done.json")):
        yield f"store-{done.parent.name}", done.parent / "store"


def _table(pipeline: Pipeline) -> wandb.Table | None:
    """Validation photos × methods: the IoU of each prediction, and its mask over the photo.

    Evenly spread over the data set; None without true masks or predictions.
    """
    run, val = pipeline.parts.run, pipeline.parts.data.val
    folders = {
        method: run.segmentations(method) / "predictions"
        for method in pipeline.methods
        if (run.segmentations(method) / "metrics.csv").is_file()
    }
    if val is None or not val.has_masks or not folders:
        return None
    table = wandb.Table(columns=["id", "tags", "photo", *folders])
    for index in spread(len(val.ids), _PHOTOS):
        tags = ", ".join(val.classes[place] for place in np.flatnonzero(val.labels[index]))
        scores = [100 * image_miou(val, folder, index) for folder in folders.values()]
        table.add_data(val.ids[index], tags, _picture(val, folders, index), *scores)
    return table


def _picture(val: Source, folders: dict[str, Path], index: int) -> wandb.Image:
    labels = {"truth": val.mask(index)}
    for method, folder in folders.items():
        labels[method] = load_label(folder / f"{val.ids[index]}.png")
    photo = shrink(val.photo(index), _SIDE)
    masks: dict[str, Any] = {
        name: mask_of(_resized(label, photo.size), val.classes) for name, label in labels.items()
    }
    return wandb.Image(photo, masks=masks)


def _resized(label: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))
