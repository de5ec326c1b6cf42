"""Online attention accumulation (OAA) during training: the only writer of the stores.

Source: Jiang et al., ICCV 2019, section 3.2. What is kept (`gate`), how maps are fused (the
stores' headers) and where they live (`open_stores`) are injected; this file only decides when.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from typing_extensions import override

from oaa_pl.attention.cam import class_attention
from oaa_pl.attention.gate import beats_absent_classes
from oaa_pl.callbacks.checkpoint import GENERATIONS, named_generations
from oaa_pl.errors import ConfigError, StoreMismatchError
from oaa_pl.store.accumulate import Gate, Normalisation, accumulate
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.types import Batch, StepOutput

__all__ = ["AttentionAccumulation", "StoreOpener"]

StoreOpener = Callable[[int, int], MemmapStore]


class AttentionAccumulation(Callback):
    """Fuse every training batch's attention maps into the cumulative maps on disk.

    Reads `score_map` from the dict that `training_step` returns, so it works with any module that
    returns one; it registers no hook and never touches the network. Several stores (a maximum and
    a mean, say) can be fed by one run: accumulating never changes the training.

    Args:
        open_stores: by name, what opens a store for (rank, world size). They are opened when
            training starts, in the process that writes them.
        gate: maps (class scores, presence), both (B, C), to a bool (B, C): which maps are trusted.
        normalise: maps score maps (B, C, h, w) to attention in [0, 1].
        first_epoch: epochs before this one are not accumulated, while the classifier is still
            noise. The paper starts at 0, the authors' releases at 1.
        keep_empty: whether a map with no positive value can be accepted. Release: it can.
        fill_in_epoch: in this epoch a map that is not accepted becomes the fallback of a pair that
            never had one accepted; None: no epoch. Release, in PyTorch: the last.

    Raises:
        ConfigError: if `first_epoch` is negative.
    """

    def __init__(
        self,
        open_stores: Mapping[str, StoreOpener],
        gate: Gate = beats_absent_classes,
        normalise: Normalisation = class_attention,
        first_epoch: int = 0,
        keep_empty: bool = False,
        fill_in_epoch: int | None = None,
    ) -> None:
        if first_epoch < 0:
            raise ConfigError(f"first_epoch must be 0 or more, got {first_epoch}")
        self.open_stores = dict(open_stores)
        self.gate, self.normalise, self.first_epoch = gate, normalise, first_epoch
        self.keep_empty, self.fill_in_epoch = keep_empty, fill_in_epoch
        self.stores: dict[str, MemmapStore] = {}
        # By name: generation and seal. 0 is the empty store: a run that resumes nothing starts from
        # nothing, whatever an earlier run that died before its first checkpoint may have left.
        self._committed: dict[str, tuple[int, str]] = dict.fromkeys(self.open_stores, (0, ""))
        self._unsaved = False

    @override
    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        saved = checkpoint.get(GENERATIONS, {})
        if set(saved) != set(self.open_stores):
            raise StoreMismatchError(
                f"the checkpoint accumulated into {sorted(saved)}, this run into "
                f"{sorted(self.open_stores)}; resume with the same stores, or start a new run"
            )
        finished = 0 <= trainer.max_steps <= checkpoint["global_step"]
        if not (finished or _ends_an_epoch(checkpoint)):
            raise ConfigError(
                "the checkpoint was saved in the middle of an epoch, from where no data loader can "
                "go on exactly; resume from one that was saved at an epoch's end"
            )
        self._committed = {name: (number, seal) for name, (number, seal) in saved.items()}

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        named_generations(trainer)  # a damaged checkpoint is said before an epoch is lost to it
        # One shard per rank: a shared map would lose updates, and a barrier per batch is slow.
        for name, opener in self.open_stores.items():
            self.stores[name] = opener(trainer.global_rank, trainer.world_size)
            self.stores[name].roll_back(*self._committed[name])

    @override
    def on_train_batch_end(  # type: ignore[override]  # narrows Lightning's Any to our dicts
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: StepOutput,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        # Every batch counts, not every optimiser step: with gradient accumulation each image is
        # still seen, and must be fused, once per epoch.
        self._unsaved = True
        if trainer.current_epoch < self.first_epoch:
            return
        if "score_map" not in outputs:
            raise ConfigError(
                f"{type(pl_module).__name__}.training_step must return 'score_map' (B, C, h, w) "
                f"for attention accumulation; it returned {sorted(outputs)}"
            )
        accepted = accumulate(
            self.stores.values(),
            outputs["score_map"],
            batch["labels"],
            batch["index"],
            batch["view"],
            batch["repeat"],
            gate=self.gate,
            normalise=self.normalise,
            epoch=trainer.current_epoch,
            keep_empty=self.keep_empty,
            fill_rejected=trainer.current_epoch == self.fill_in_epoch,
        )
        labels = batch["labels"]
        pl_module.log(
            "oaa/accepted",
            accepted.sum() / labels.sum().clamp(min=1),
            on_step=False,
            on_epoch=True,
            batch_size=len(labels),
            sync_dist=True,
        )

    @override
    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # Committed before the checkpoint is written, on every rank: the generation that a
        # checkpoint names always exists, and a crash in between costs a generation, not a run.
        # A second checkpoint of the same moment names the same generation.
        if self._unsaved:
            # Rank 0 alone drops generations, so it alone has to know.
            needed = named_generations(trainer) if trainer.is_global_zero else {}
            for name, store in self.stores.items():
                generation = store.commit(trainer.strategy.barrier, needed.get(name, ()))
                self._committed[name] = generation, store.seal(generation)
            self._unsaved = False
        checkpoint[GENERATIONS] = {name: list(named) for name, named in self._committed.items()}

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._close()

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        # What came after the last checkpoint is dropped on purpose: resuming repeats it.
        self._close()

    def _close(self) -> None:
        for store in self.stores.values():
            store.close()
        self.stores = {}


def _ends_an_epoch(checkpoint: Mapping[str, Any]) -> bool:
    """Whether Lightning saved a checkpoint after an epoch's last batch."""
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return bool(progress["is_last_batch"])
