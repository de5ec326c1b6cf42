"""What a segmenter learned at a learning rate: whether its features live, and what it predicts.

    python experiments/table2_voc320/rates.py <CSV> <folder of a finished segmenter>...

Prints nothing; see README.md for the trainings that it was run on.
"""

import csv
import json
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.report.results import collect
from oaa_pl.runs.recorded import recorded_classes, recorded_config
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.trained import segment_photo

COLUMNS = (
    "segmenter", "lr", "fast", "commit", "miou", "loss_first_epoch", "loss_last_epoch",
    "trunk_size", "trunk_active", "trunk_varies", "fc6_size", "fc6_active", "fc6_varies",
    "background_predicted",
)  # fmt: skip
PHOTOS = 100  # the first of the validation split


class Features:
    """What a layer puts out over some photos: how large, how much of it positive, how varied.

    Args:
        layer: of features, 0 or more, (1, channels, h, w), of one size for all photos.
    """

    def __init__(self, layer: nn.Module) -> None:
        self.photos: list[Tensor] = []
        layer.register_forward_hook(lambda _, __, output: self.photos.append(output[0].float()))

    def size(self) -> float:
        """Root mean square."""
        return float(torch.stack(self.photos).square().mean().sqrt())

    def active(self) -> float:
        """Share of values above zero."""
        return float((torch.stack(self.photos) > 0).float().mean())

    def varies(self) -> float:
        """Variance over the photos, cell by cell, as a share of the mean square."""
        values = torch.stack(self.photos)
        return float(values.var(dim=0).mean() / values.square().mean().clamp(min=1e-12))


def measured(folder: Path) -> dict[str, Any]:
    """One row of `COLUMNS` for a segmenter's folder; shares in [0, 1]."""
    parts = Configured(recorded_config(folder / LAST, "data.val", "net.segmenter"))
    segment = segment_photo(parts.segmenting, folder / LAST, len(recorded_classes(folder)))
    layers = [Features(segment.net.get_submodule(name)) for name in ("trunk", "head.1")]
    val = parts.data.val
    if val is None:
        raise SystemExit(f"{folder}: no validation split")
    background = [
        float((segment(val.photo(place)).argmax(dim=0) == 0).float().mean())
        for place in range(PHOTOS)
    ]
    with (folder / "history.csv").open(newline="") as file:
        losses = [
            float(row["value"]) for row in csv.DictReader(file) if row["name"] == "train/loss_epoch"
        ]
    home = folder.parents[2]
    score = next(
        row.value
        for row in collect(home)
        if (row.metric, row.method) == ("segmentation/miou", folder.name)
    )
    optimizer = parts.value("segmenter.optimizer")
    fast = "whole head" if optimizer.get("fast") is None else "last layer"
    values = (
        home.name, optimizer["lr"], fast, commit_of(folder),
        f"{score:.1f}", f"{losses[0]:.3f}", f"{losses[-1]:.3f}",
        *(f"{n:.3f}" for at in layers for n in (at.size(), at.active(), at.varies())),
        f"{mean(background):.3f}",
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def commit_of(folder: Path) -> str:
    """The commit that a stage's record names."""
    return str(json.loads((folder / "stage.json").read_text())["commit"])


def main(output: str, *folders: str) -> None:
    """Measure segmenters, and write one row for each."""
    with Path(output).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(measured(Path(folder)) for folder in folders)


if __name__ == "__main__":
    main(*sys.argv[1:])
