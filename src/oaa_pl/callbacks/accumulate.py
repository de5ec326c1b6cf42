"""Online attention accumulation (OAA) during training: the only writer of the stores.

Source: Jiang et al., ICCV 2019, section 3.2. What is kept (`gate`), how maps are fused and where
they live (`store`) are arguments; this class only decides when.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from typing_extensions import override

from oaa_pl.attention.cam import class_attention
from oaa_pl.attention.gate import beats_absent_classes
from oaa_pl.callbacks.generations import GENERATIONS
from oaa_pl.callbacks.lightning import Callback, LightningModule, Trainer
from oaa_pl.callbacks.resumable import ends_an_epoch, warn_of_checkpoints_inside_epochs
from oaa_pl.callbacks.score_maps import ScoreMapFunction, ScoreMaps
from oaa_pl.callbacks.step import as_is, batch_fields
from oaa_pl.callbacks.training_stores import StoreOpener, Stores, TrainingStores, openers_of
from oaa_pl.errors import ConfigError, StoreMismatchError
from oaa_pl.store.accumulate import Gate, ToAttention, accumulate
from oaa_pl.store.memmap import MemmapStore

__all__ = ["AttentionAccumulation"]

log = logging.getLogger(__name__)


class AttentionAccumulation(Callback):
    """Fuse every training batch's attention maps into the cumulative maps of a store.

    It works with any module whose `training_step` returns a dict with `score_map` beside `loss`,
    and with any other whose pooled `layer` is named or found. The training does not change.

    The maps are committed at the end of every epoch, at the end of the training and after an
    exception, whatever checkpoints the trainer writes. Each checkpoint names the commit that
    belongs to it, and resuming the checkpoint returns to that commit. A training that resumes no
    checkpoint needs a store without maps, or `overwrite`, or a store opened with `resume`.

    Args:
        store: where the maps go: an `AttentionStore`; or several stores by name (a maximum and a
            mean, for example), which may be functions that open a `MemmapStore` for (rank, world
            size). Every process of the training opens them when it starts.
        gate: from scores and labels, both (B, C), to bool (B, C): which maps are trusted.
        to_attention: from score maps (B, C, h, w) to attention in [0, 1].
        first_epoch: earlier epochs are not accumulated. The authors' releases start at 1.
        keep_empty: whether a map with no positive value can be accepted. Release: it can.
        fill_in_epoch: in this epoch a map that is not accepted becomes the fallback of a pair that
            has no accepted map. None: in no epoch. Release, in PyTorch: the last.
        overwrite: start with no maps. The first commit replaces what the store holds.
        read_batch: from a batch to a dict with `labels` and `index`, and with `view` and `repeat`
            where training crops images or pads epochs. Not needed if batches are such dicts.
        layer: path of the layer that is pooled, `model.layer4` for example; `auto`: found by a
            run on a probe image. None: the step returns the map. See `HookedScoreMap`.
        head: path of what comes after the pooling, `model.fc` for example.
        score_map: from the module and a batch to score maps, perhaps with scores: `ScoreMaps`.
        resume_inside_epoch: allow a checkpoint that was saved inside an epoch. Lightning draws the
            rest of that epoch again, so an image may count twice in it, or not at all.
        writer_thread: whether a thread writes the stores while the training continues. None: if the
            score maps are on a CUDA device. The stores are the same.

    Raises:
        ConfigError: if `first_epoch` or `writer_thread` is out of range, `store` is not a store, or
            `layer`, `head` and `score_map` do not go together.
    """

    def __init__(
        self,
        store: Stores,
        gate: Gate = beats_absent_classes,
        to_attention: ToAttention = class_attention,
        first_epoch: int = 0,
        keep_empty: bool = False,
        fill_in_epoch: int | None = None,
        *,
        overwrite: bool = False,
        read_batch: Callable[[Any], Mapping[str, Any]] = as_is,
        layer: str | None = None,
        head: str | None = None,
        score_map: ScoreMapFunction | None = None,
        resume_inside_epoch: bool = False,
        writer_thread: bool | None = None,
    ) -> None:
        if first_epoch < 0:
            raise ConfigError(f"first_epoch must be 0 or more, got {first_epoch}")
        if writer_thread not in (None, True, False):
            raise ConfigError(f"writer_thread must be true, false or null, got {writer_thread!r}")
        self._stores = TrainingStores(openers_of(store))
        self.gate, self.to_attention, self.first_epoch = gate, to_attention, first_epoch
        self.keep_empty, self.fill_in_epoch = keep_empty, fill_in_epoch
        self.overwrite, self.read_batch = overwrite, read_batch
        self.resume_inside_epoch, self.writer_thread = resume_inside_epoch, writer_thread
        self._maps = ScoreMaps(layer, head, score_map)
        self._resumed = self._unsaved = False
        self._batches = self._mapped = 0  # of this epoch; those whose maps were accumulated

    @property
    def open_stores(self) -> Mapping[str, StoreOpener]:
        """What opens each store, by its name."""
        return self._stores.openers

    @property
    def stores(self) -> Mapping[str, MemmapStore]:
        """The open stores by name, with all maps so far; none before and after a training."""
        return self._stores.drained()

    @property
    def generations(self) -> Mapping[str, int]:
        """The committed generation that each store continues from; 0 where it has no maps yet."""
        return {name: number for name, (number, _) in (self._stores.committed or {}).items()}

    @override
    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        saved = checkpoint.get(GENERATIONS)
        if saved is None or (not any(saved.values()) and checkpoint["global_step"] == 0):
            log.warning("the checkpoint was made without these stores: they begin empty")
            return
        if set(saved) != set(self.open_stores):
            raise StoreMismatchError(
                f"the checkpoint accumulated into {sorted(saved)}, this run into "
                f"{sorted(self.open_stores)}; resume with the same stores, or start a new run"
            )
        if not all(saved.values()):
            raise StoreMismatchError(
                "the checkpoint was written where its maps were not available (by a process that "
                "had failed, or after a training in spawned processes); resume one that was "
                "written during the training"
            )
        finished = 0 <= trainer.max_steps <= checkpoint["global_step"]
        if not (self.resume_inside_epoch or finished or ends_an_epoch(checkpoint)):
            raise ConfigError(
                "the checkpoint was saved in the middle of an epoch, from where no data loader can "
                "continue exactly. Resume one that was saved at an epoch's end, as "
                "ModelCheckpoint(every_n_epochs=1, save_on_train_epoch_end=True) does; or "
                "continue inexactly with AttentionAccumulation(resume_inside_epoch=True)"
            )
        self._stores.committed = {name: (number, seal) for name, (number, seal) in saved.items()}
        self._resumed = True

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Also without a checkpoint, where one trainer's `fit` is called again.
        goes_on = self._resumed or (self._stores.committed is not None and trainer.global_step > 0)
        self._resumed = False
        self._maps.attach(pl_module)
        self._stores.open(trainer, overwrite=self.overwrite, goes_on=goes_on)
        if trainer.is_global_zero and not self.resume_inside_epoch:
            warn_of_checkpoints_inside_epochs(trainer.callbacks)  # type: ignore[attr-defined]  # plain

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._batches = self._mapped = 0

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        # Every batch, not every optimiser step: each image is to be fused once per epoch.
        self._unsaved = True
        self._batches += 1
        if trainer.current_epoch < self.first_epoch:
            self._maps.drop()
            return
        score_map = self._maps.read(pl_module, batch, outputs)
        if score_map is None:
            return  # the step returned None: Lightning skips such a batch, and so does this
        fields = batch_fields(batch, self.read_batch)
        self._maps.require_fit(score_map, fields["labels"])
        in_thread = score_map.is_cuda if self.writer_thread is None else self.writer_thread
        accepted = accumulate(
            self._stores.opened.values(),
            score_map,
            **fields,
            scores=self._maps.scores,
            gate=self.gate,
            to_attention=self.to_attention,
            epoch=trainer.current_epoch,
            keep_empty=self.keep_empty,
            fill_rejected=trainer.current_epoch == self.fill_in_epoch,
            writer=self._stores.writer if in_thread else None,
        )
        self._mapped += 1
        if trainer.is_last_batch:  # a validation follows, whose loader may fork
            self._stores.writer.drain()
        pl_module.log(
            "oaa/accepted",
            accepted.sum() / (fields["labels"] > 0).sum().clamp(min=1).to(accepted.device),
            on_step=False,
            on_epoch=True,
            batch_size=len(accepted),
            sync_dist=True,
        )

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._batches and not self._mapped and trainer.current_epoch >= self.first_epoch:
            raise ConfigError(
                f"{type(pl_module).__name__}.training_step returned None for all {self._batches} "
                f"batches of epoch {trainer.current_epoch}, so nothing was accumulated; return a "
                "dict with 'loss' and 'score_map' (with manual optimisation: 'score_map' alone)"
            )
        self._commit(trainer)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._commit(trainer)

    def _commit(self, trainer: Trainer) -> None:
        """Commit what came since the last commit; every process must come here."""
        if self._unsaved and self._stores.opened:
            self._stores.commit(trainer)
            self._unsaved = False

    @override
    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # Committed before the checkpoint is written, on every rank: the generation that a
        # checkpoint names always exists, and a crash in between costs a generation, not a run.
        self._commit(trainer)
        self._stores.name_in(trainer, checkpoint, whole=not self._unsaved)

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._maps.detach()
        self._stores.close()

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        # A checkpoint may be written because of the exception, and must name what it has seen. Not
        # with several processes: the others may never come to the barrier. And not in place of the
        # maps that a training overwrites: they stay until its first epoch is whole.
        self._unsaved &= self._mapped > 0
        if trainer.world_size == 1 and not self._stores.replace_others:
            try:
                self._commit(trainer)
            except Exception as error:  # also a defect: the first error is the one to report
                log.warning("what came after the last commit is lost: %s", error)
        self._maps.detach()
        self._stores.close()
