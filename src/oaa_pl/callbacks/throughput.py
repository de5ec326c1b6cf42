"""Images per second, as the training itself sees them."""

from time import perf_counter

from pytorch_lightning import Callback, LightningModule, Trainer
from typing_extensions import override

__all__ = ["Throughput"]


class Throughput(Callback):
    """Log `train/images_per_second` of each epoch, over all processes."""

    def __init__(self) -> None:
        self._start = 0.0
        self._images = 0

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start, self._images = perf_counter(), 0

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: dict[str, object],
        batch_idx: int,
    ) -> None:
        self._images += len(batch["index"])  # type: ignore[arg-type]  # a tensor has a length

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        rate = self._images * trainer.world_size / (perf_counter() - self._start)
        pl_module.log("train/images_per_second", rate, rank_zero_only=True)
