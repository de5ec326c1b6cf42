"""Keep every epoch's score maps of the tags, to try gates, first epochs and readings afterwards.

A Lightning callback, given to a training by the command line; see README.md for the command. The
folder of this file has to be on PYTHONPATH.

Shapes: P (image, class) pairs of the tags, h x w cells of the score map.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from typing_extensions import override

from oaa_pl.attention.view import undo_view
from oaa_pl.losses import image_scores
from oaa_pl.types import Batch, StepOutput

COLUMNS = ("index", "category", "maps", "score", "best_absent")


class RecordedMaps(Callback):
    """Write `epoch-<number>.npz`: the score maps as training saw them, views undone.

    Its arrays: `index` and `category` of each pair, (P,); `maps`, raw scores F in float16,
    (P, h, w); `score`, GAP(F), and `best_absent`, the highest GAP(F) of the photo's absent classes,
    (P,): what the paper's gate compares.

    Args:
        output: the folder.
    """

    only_looks = True  # a stage's key does not hold it: with and without it the same is made

    def __init__(self, output: str) -> None:
        self.output = Path(output)
        self.found: list[tuple[NDArray[np.generic], ...]] = []

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.found = []

    @override
    @torch.no_grad()
    def on_train_batch_end(  # type: ignore[override]  # narrows Lightning's Any to our dicts
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: StepOutput,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        score_map, present = outputs["score_map"].float(), batch["labels"] > 0
        scores = image_scores(score_map)
        absent = scores.masked_fill(present, -torch.inf).amax(1)
        image, category = present.nonzero(as_tuple=True)
        grid = (score_map.shape[2], score_map.shape[3])
        maps = undo_view(score_map[image, category], batch["view"][image], grid)[0].half()
        index = batch["index"][image]
        kept = (index, category, maps, scores[image, category], absent[image])
        self.found.append(tuple(one.numpy(force=True) for one in kept))

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        columns = zip(*self.found, strict=True)
        arrays = {name: np.concatenate(part) for name, part in zip(COLUMNS, columns, strict=True)}
        self.output.mkdir(parents=True, exist_ok=True)
        with (self.output / f"epoch-{trainer.current_epoch}.npz").open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes one type of array
