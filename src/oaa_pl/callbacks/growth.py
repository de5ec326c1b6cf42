"""Keep a few images' cumulative maps of every epoch, as in the paper's Figure 1.

Shapes: K present classes of an image, h x w cells of the store's grid.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from oaa_pl.attention.view import undo_view
from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.files.atomic import sweep, write_whole
from oaa_pl.types import Batch, StepOutput

__all__ = ["AttentionGrowth"]


class AttentionGrowth(Callback):
    """Save the attention and the cumulative maps of chosen images at the end of each epoch.

    Writes `<folder>/epoch-007.npz` with, for image i, `cumulative-i` and `attention-i`, (K, h, w)
    float16: the second is the map of this epoch alone, before any gate. An epoch that is repeated
    after a crash overwrites its file with the same bytes.

    Args:
        accumulation: the callback whose stores are watched.
        images: places in the data set to watch.
        folder: where the files go.
        store: name of the store to watch.
    """

    def __init__(
        self,
        accumulation: AttentionAccumulation,
        images: Sequence[int],
        folder: Path,
        store: str,
    ) -> None:
        self.accumulation, self.folder, self.store = accumulation, folder, store
        self.images = frozenset(images)
        self._seen: dict[int, Tensor] = {}  # on the device until the epoch's end

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        store = self.accumulation.stores[self.store]
        self._seen, self._pairs, self._grid = {}, store.pairs, store.header.grid

    @override
    def on_train_batch_end(  # type: ignore[override]  # narrows Lightning's Any to our dicts
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: StepOutput,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        index: Tensor = batch["index"]
        for place, image in enumerate(index.tolist()):
            if image in self.images:
                here = slice(place, place + 1)
                attention = self.accumulation.to_attention(outputs["score_map"][here])[0]
                # The classes of the pairs are known here; those of `labels` only on the device.
                present = [attention[c] for c in np.flatnonzero(self._pairs.labels[image])]
                view = batch["view"][here].expand(len(present), 2, 3)
                maps = torch.stack(present) if present else attention[:0]
                self._seen[image], _ = undo_view(maps, view, self._grid)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # With several processes, rank 0 saw only some of the images in this epoch. For the others
        # it has the maps of the last commit, one epoch ago, and no attention.
        if not trainer.is_global_zero:
            return
        store = self.accumulation.stores[self.store]
        arrays = {
            f"attention-{image}": maps.numpy(force=True).astype(np.float16)
            for image, maps in self._seen.items()
        }
        for image in sorted(self.images):
            arrays[f"cumulative-{image}"] = store.maps(image).attention.astype(np.float16)
        path = self.folder / f"epoch-{trainer.current_epoch:03d}.npz"
        sweep(self.folder, ".*.partial")  # what a killed process left
        write_whole(path, lambda file: np.savez(file, allow_pickle=False, **arrays))
