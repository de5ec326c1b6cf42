"""All masks of a folder as one COCO JSON, with run-length encoded segmentations.

`images` and `categories` make it a data set that `pycocotools.coco.COCO` opens; `annotations` have
a `score` as well, so that the list is also COCO's form of results (`COCO.loadRes`). There is one
annotation for each class of a photo, as semantic segmentation does not separate objects.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.coco_results import coco_results
from oaa_pl.files.atomic import write_whole
from oaa_pl.prediction.manifest import Entry
from oaa_pl.proxy.palette import load_label

__all__ = ["COCO_NAME", "write_coco"]

COCO_NAME = "coco.json"


def write_coco(folder: Path, entries: Sequence[Entry], classes: Sequence[str]) -> None:
    """Write `coco.json` from the masks of a folder, one mask in memory at a time.

    Args:
        folder: of the predictions.
        entries: lines of the manifest; the order gives each image its id, from 1.
        classes: names of the foreground classes; class c has the category id c + 1, as in masks.

    Raises:
        MissingMaskError: if a mask was removed.
        BadMaskError: if a mask was damaged.
        OutputError: if the file cannot be written.
    """
    images = [
        {
            "id": number,
            "file_name": entry["photo"],
            "width": entry["width"],
            "height": entry["height"],
        }
        for number, entry in enumerate(entries, start=1)
    ]
    categories = [{"id": c, "name": name} for c, name in enumerate(classes, start=1)]

    def write(file: BinaryIO) -> None:
        head = json.dumps({"images": images, "categories": categories})
        file.write(head.removesuffix("}").encode() + b', "annotations": [')
        for number, annotation in enumerate(_annotations(folder, entries, len(classes)), start=1):
            line = json.dumps({"id": number, **annotation}, allow_nan=False)
            file.write(b",\n"[number == 1 :] + line.encode())
        file.write(b"]}\n")

    write_whole(folder / COCO_NAME, write)


def _annotations(folder: Path, entries: Sequence[Entry], classes: int) -> Iterator[dict[str, Any]]:
    ids = range(1, classes + 1)
    for image, entry in enumerate(entries, start=1):
        known = {found["id"]: found["confidence"] for found in entry["classes"].values()}
        if not known:
            continue
        label = load_label(folder / entry["files"]["mask"]["path"])
        scores = [known.get(one, 0.0) for one in ids]
        for result in coco_results(label, image, ids, scores):
            yield {**result, **_extent(label == result["category_id"]), "iscrowd": 0}


def _extent(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Pixels and box (x, y, width, height) of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    box = [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]
    return {"area": int(mask.sum()), "bbox": box}
