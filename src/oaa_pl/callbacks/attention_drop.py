"""Attention drop (OAA++): hide what the classifier has found already while it trains.

Source: Jiang et al., "Online attention accumulation for weakly supervised semantic segmentation",
TPAMI 2021 (OAA++), as in the authors' PyTorch code: with some probability, a photo's pixels are 0
where the attention of one of its classes was above a threshold. Ours: the code takes the last
accepted map, this takes the cumulative map; and it undoes the training view.

Shapes: B images, h x w cells of the store's grid, H x W pixels or cells of what is hidden.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.attention.view import apply_view, identity_view
from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.callbacks.layer import layer_of
from oaa_pl.callbacks.lightning import Callback, LightningModule, Trainer
from oaa_pl.callbacks.step import batch_fields
from oaa_pl.errors import ConfigError
from oaa_pl.store.layout import ORIGIN_ACCEPTED
from oaa_pl.store.reader import StoreReader
from oaa_pl.types import Purpose

__all__ = ["AttentionDrop"]


class AttentionDrop(Callback):
    """Set to 0 what a training's images show of the strongest cumulative attention.

    The maps are those of the last commit, which is the end of the last epoch. A photo without an
    accepted map stays whole, so nothing is hidden before the first accumulation. Which photos are
    drawn depends on seed, epoch and photo alone: a resumed training draws the same, bit for bit.
    The accumulated maps are those of the images as they are shown, with their hidden parts.

    Args:
        rate: probability that a photo is drawn in an epoch, in [0, 1].
        threshold: what has more cumulative attention to any of its classes is hidden, in [0, 1].
        seed: of the draws, 0 or more.
        layer: path of the layer whose output (B, D, H, W) is set to 0, `net.trunk` for example.
            None: the pixels of `batch["image"]`, (B, 3, H, W); 0 is the mean colour.
        store: name of the store whose maps count. None: the first.
        only_with_accumulation: do nothing in a training that accumulates no attention. Otherwise
            such a training is refused.

    Raises:
        ConfigError: if a number is out of range.
    """

    def __init__(
        self,
        rate: float,
        threshold: float,
        seed: int,
        layer: str | None = None,
        store: str | None = None,
        *,
        only_with_accumulation: bool = False,
    ) -> None:
        given: dict[str, object] = {"rate": rate, "threshold": threshold}  # from a user's YAML
        for name, value in given.items():
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ConfigError(f"{name} of the attention drop must be in [0, 1], got {value!r}")
        if seed < 0:
            raise ConfigError(f"seed of the attention drop must be 0 or more, got {seed}")
        self.rate, self.threshold, self.seed = rate, threshold, seed
        self.layer, self.store = layer, store
        self.only_with_accumulation = only_with_accumulation
        self._accumulation: AttentionAccumulation | None = None
        self._handle: Any = None
        self._maps: StoreReader | None = None
        self._shown: tuple[Tensor, Tensor] | None = None  # of this batch: see `_strongest`

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._detach()
        found = [one for one in trainer.callbacks if isinstance(one, AttentionAccumulation)]  # type: ignore[attr-defined]  # a plain attribute
        if not found:
            if self.only_with_accumulation:
                return
            raise ConfigError(
                "AttentionDrop hides what AttentionAccumulation has accumulated, and this trainer "
                "has none; add AttentionAccumulation(store) to its callbacks"
            )
        self._accumulation = found[0]
        names = list(self._accumulation.open_stores)
        if self.store not in (None, *names):
            raise ConfigError(
                f"store of the attention drop must be one of {', '.join(names)}, got {self.store!r}"
            )
        if self.layer is not None:
            # First among the layer's hooks: the accumulation reads what is left.
            hidden = layer_of(pl_module, self.layer)
            self._handle = hidden.register_forward_hook(self._hide_in_output, prepend=True)

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._maps = None
        if self._accumulation is not None:
            name = self.store or next(iter(self._accumulation.open_stores))
            # As committed, not as they are now: each process has only a part of the newest maps.
            if generation := self._accumulation.generations[name]:
                self._maps = StoreReader(self._accumulation.stores[name].path, generation)

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._shown, share = None, 0.0
        if self._accumulation is None:
            return
        if self._maps is not None:
            fields = batch_fields(self._accumulation.read_batch(batch))
            strongest = self._strongest(self._maps, fields["index"], trainer.current_epoch)
            share = float((strongest > self.threshold).mean())
            device = fields["index"].device
            view = fields.get("view", identity_view(len(strongest), device))
            self._shown = torch.from_numpy(strongest)[:, None].to(device), view
            if self.layer is None:
                batch["image"] = self._hidden(_image_of(batch))
        # Also before there are maps: a resumed training must log in the same order.
        pl_module.log(
            "oaa/dropped", share, on_step=False, on_epoch=True, batch_size=1, sync_dist=True
        )

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._shown = None

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._detach()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._detach()

    def _detach(self) -> None:
        if self._handle is not None:
            self._handle.remove()
        self._handle = self._accumulation = self._maps = self._shown = None

    def _strongest(self, maps: StoreReader, index: Tensor, epoch: int) -> np.ndarray:
        """Cumulative attention to any class of each drawn photo, 0 of the others: (B, h, w)."""
        strongest = np.zeros((len(index), *maps.header.grid), np.float32)
        for place, image in enumerate(index.tolist()):
            seed = [Purpose.ATTENTION_DROP, self.seed, epoch, image]
            if np.random.default_rng(seed).random() < self.rate:
                categories, attention = maps.maps(image)
                images = np.full(len(categories), image)
                origin = maps.rows["origin"][maps.pairs.rows_of(images, categories)]
                accepted = attention[origin == ORIGIN_ACCEPTED]
                strongest[place] = accepted.max(axis=0, initial=0)
        return strongest

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _hide_in_output(self, _: nn.Module, __: Any, output: Any) -> Tensor | None:
        # Between the steps, as in a validation, nothing is hidden.
        if self._shown is None:
            return None
        count = len(self._shown[0])
        if not isinstance(output, Tensor) or output.ndim != 4 or len(output) != count:
            got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ConfigError(
                f"layer={self.layer!r} of the attention drop must return (B, D, H, W) for the "
                f"{count} images of the batch, got {got}; give another layer"
            )
        return self._hidden(output)

    def _hidden(self, images: Tensor) -> Tensor:
        """Images or features with 0 in the place of the strongest attention: (B, D, H, W)."""
        if self._shown is None:
            return images
        strongest, view = (part.to(images.device) for part in self._shown)
        seen = apply_view(strongest, view, (images.shape[2], images.shape[3]))
        return images.masked_fill(seen > self.threshold, 0)


def _image_of(batch: Any) -> Tensor:
    if not isinstance(batch, MutableMapping) or "image" not in batch:
        found = sorted(map(str, batch)) if isinstance(batch, Mapping) else type(batch).__name__
        raise ConfigError(
            f"a batch must be a dict with 'image' for the attention drop, got {found}; or give "
            "AttentionDrop(layer=...), the path of a layer whose output is hidden"
        )
    image: Tensor = batch["image"]
    return image
