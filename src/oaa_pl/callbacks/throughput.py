"""Images per second, and images per second of CPU time, of a training."""

import logging
from time import perf_counter, process_time

from pytorch_lightning import Callback, LightningModule, Trainer
from typing_extensions import override

__all__ = ["Throughput"]

log = logging.getLogger(__name__)


class Throughput(Callback):
    """Log `train/images_per_second` of each epoch, over all processes.

    At the end of a training, report images per CPU-second as well: unlike images per second, it
    does not depend on what else the machine is doing. It counts every thread of this process, and
    neither the loader's processes nor validation.

    Args:
        what: name of the stage; empty: no report.
        precision: of the training, for the report.
    """

    def __init__(self, what: str = "", precision: str = "") -> None:
        self.what, self.precision = what, precision
        self._start = 0.0
        self._images = 0
        self._all_images = 0
        self._seconds = self._cpu_seconds = self._cpu_start = 0.0

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start, self._images = perf_counter(), 0
        self._cpu_start = process_time()

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
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._cpu_seconds += process_time() - self._cpu_start

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._cpu_start = process_time()

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seconds = perf_counter() - self._start
        self._cpu_seconds += process_time() - self._cpu_start
        self._seconds += seconds
        self._all_images += self._images
        rate = self._images * trainer.world_size / seconds
        pl_module.log("train/images_per_second", rate, rank_zero_only=True)

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.what and self._all_images and self._cpu_seconds > 0 and trainer.is_global_zero:
            log.info(
                "%s, precision %s: %.3g images per CPU-second, %.3g per second",
                self.what,
                self.precision,
                self._all_images / self._cpu_seconds,
                self._all_images * trainer.world_size / self._seconds,
            )
