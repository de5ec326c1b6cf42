"""The files that a segmented photo gets: mask, overlay, confidence; and its line of the manifest.

Shapes: H x W pixels of the photo.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.errors import WeightsError
from oaa_pl.prediction.manifest import Entry
from oaa_pl.proxy.palette import save_label
from oaa_pl.proxy.png import save_png
from oaa_pl.report.pictures import label_overlay
from oaa_pl.runs.inputs import digest_of
from oaa_pl.stages.refined import Prediction

__all__ = ["CONFIDENCE", "MASK", "OVERLAY", "entry_of", "save"]

MASK, OVERLAY, CONFIDENCE = "mask", "overlay", "confidence"
_FOLDERS = {MASK: "masks", OVERLAY: "overlays", CONFIDENCE: "confidence"}


def save(
    folder: Path, name: str, photo: NDArray[np.uint8], found: Prediction, kinds: Collection[str]
) -> dict[str, dict[str, str | None]]:
    """Write a photo's files, each whole or not at all.

    Args:
        folder: of the predictions.
        name: of the photo. Its suffix stays part of the file names: a.jpg and a.png are two photos.
        photo: RGB, (H, W, 3) uint8.
        found: its mask and confidence.
        kinds: of files: `MASK`, `OVERLAY`, `CONFIDENCE` (8-bit gray, 255 is a probability of 1).

    Returns:
        Path below the folder and digest of each file, by kind.

    Raises:
        WeightsError: if the confidence is not a number, which a broken network gives.
        OutputError: if a file cannot be written.
    """
    if not np.isfinite(found.confidence).all():
        raise WeightsError(
            f"the segmenter's answer to {name} is not a number; its weights are damaged, or its "
            "precision is too low (trainer.precision=32-true)"
        )
    paths = {kind: f"{_FOLDERS[kind]}/{name}.png" for kind in _FOLDERS if kind in kinds}
    for kind, path in paths.items():
        if kind == MASK:
            save_label(folder / path, found.mask)
        elif kind == OVERLAY:
            save_png(folder / path, Image.fromarray(label_overlay(photo, found.mask)))
        else:
            levels = (found.confidence * 255).round().clip(0, 255).astype(np.uint8)
            save_png(folder / path, Image.fromarray(levels))
    return {
        kind: {"path": path, "sha256": digest_of(folder / path)} for kind, path in paths.items()
    }


def entry_of(
    name: str, digest: str | None, found: Prediction, classes: Sequence[str], files: dict[str, Any]
) -> Entry:
    """A photo's line of the manifest.

    Args:
        name: of the photo.
        digest: of its file.
        found: its mask and confidence.
        classes: names of the foreground classes.
        files: what `save` returned.
    """
    height, width = found.mask.shape
    pixels = np.bincount(found.mask.ravel(), minlength=len(classes) + 1)
    sums = np.bincount(found.mask.ravel(), found.confidence.ravel(), len(classes) + 1)
    return {
        "photo": name,
        "sha256": digest,
        "width": width,
        "height": height,
        "confidence": round(float(sums.sum() / found.mask.size), 6),
        "classes": {
            classes[label - 1]: {
                "id": label,
                "pixels": int(pixels[label]),
                "confidence": round(float(sums[label] / pixels[label]), 6),
            }
            for label in range(1, len(classes) + 1)
            if pixels[label]
        },
        "files": files,
    }
