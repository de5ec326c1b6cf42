"""One bar for a whole training: images, rate, time left, loss."""

import sys

from pytorch_lightning import Callback, LightningModule, Trainer
from tqdm import tqdm
from typing_extensions import override

__all__ = ["StageProgress", "bar"]


def bar(total: int, what: str, unit: str = "img", initial: int = 0) -> "tqdm[None]":
    """A progress bar on standard error: rate and time left; a line a minute where no one looks.

    Args:
        total: units of the whole work.
        what: what is being done.
        unit: what is counted.
        initial: units done before.
    """
    seen = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=what,
        unit=f" {unit}",
        initial=initial,
        dynamic_ncols=seen,
        # A log file wants no line for every tenth of a second.
        mininterval=0.1 if seen else 60,
        maxinterval=0.1 if seen else 60,
        smoothing=0.05,
    )


class StageProgress(Callback):
    """Shows the training of one stage as one bar over all its epochs.

    Args:
        what: name of the stage.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._bar: tqdm[None] | None = None

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        # Batches, as Lightning counts them; the last of an epoch may be smaller.
        batches = int(trainer.num_training_batches)
        steps, epochs = trainer.max_steps, trainer.max_epochs or 0
        total = steps * trainer.accumulate_grad_batches if steps > 0 else epochs * batches
        self._bar = bar(total, self.what, "batch", trainer.current_epoch * batches)

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        if self._bar is not None:
            self._bar.update(1)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None:
            loss = float(trainer.callback_metrics.get("train/loss", float("nan")))
            self._bar.set_postfix_str(f"epoch {trainer.current_epoch + 1}, loss {loss:.3f}")

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._close()

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._close()  # or the error would be printed at the end of the bar's line

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
