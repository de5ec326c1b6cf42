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

from oaa_pl.callbacks.checkpoint import LAST
from oaa_pl.commands import build
from oaa_pl.commands.trained import recorded_config, segment_photo
from oaa_pl.report.results import collect

COLUMNS = (
    "segmenter", "lr", "fast", "commit", "miou", "loss_first_epoch", "loss_last_epoch",
    "fc6_units_active", "fc6_values_active", "background_predicted",
)  # fmt: skip
PHOTOS = 100  # the first of the validation split


def measured(folder: Path) -> dict[str, Any]:
    """One row of `COLUMNS` for a segmenter's folder, the three last as shares in [0, 1]."""
    cfg = recorded_config(folder / LAST, "data.val", "net.segmenter")
    classes = build.recorded_classes(folder)
    segment = segment_photo(cfg, folder / LAST, len(classes))
    fc6, shares, alive = segment.net.get_submodule("head.1"), [], []

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        positive = output > 0
        shares.append(float(positive.float().mean()))
        alive.append(positive.any(dim=3).any(dim=2)[0])

    fc6.register_forward_hook(keep)
    _, val = build.sources(cfg)
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
    rows = [
        row
        for row in collect(home)
        if (row.metric, row.method) == ("segmentation/miou", folder.name)
    ]
    optimizer = cfg.segmenter.optimizer
    values = (
        home.name, optimizer.lr, optimizer.get("fast"), commit_of(folder),
        f"{rows[0].value:.1f}", f"{losses[0]:.3f}", f"{losses[-1]:.3f}",
        f"{float(torch.stack(alive).any(dim=0).float().mean()):.3f}",
        f"{mean(shares):.4f}", f"{mean(background):.3f}",
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
