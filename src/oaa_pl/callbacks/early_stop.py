"""Stop a training early only at an epoch's end, and keep which callback stopped it.

An exact resume repeats whole epochs, so a stop inside an epoch could not be resumed.
"""

from datetime import timedelta
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, Timer
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason
from typing_extensions import override

__all__ = ["StopAtEpochEnd", "TimeLimit"]


class StopAtEpochEnd(Callback):
    """Defers every early stop to the end of its epoch; each checkpoint keeps the request.

    Must come after the callbacks that may stop a training. Its state in a checkpoint is empty, or
    has `by`, the names of the callbacks that stopped the training there, and `goes_on`: whether
    only a time limit stopped it, so that it is to be resumed.
    """

    def __init__(self) -> None:
        self._trainer: Trainer | None = None
        self._asked = False

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._trainer, self._asked = trainer, False

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._defer(trainer)  # requested before `min_epochs` were over

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        self._defer(trainer)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._defer(trainer)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self._asked

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._trainer = None

    def _defer(self, trainer: Trainer) -> None:
        self._asked = self._asked or trainer.should_stop
        trainer.should_stop = False

    @override
    def state_dict(self) -> dict[str, Any]:
        trainer = self._trainer
        if trainer is None or not trainer.should_stop or not _may_stop(trainer):
            return {}
        stopped = [
            callback
            for callback in trainer.callbacks  # type: ignore[attr-defined]  # set in its connector
            if _stopped(callback)
        ]
        names = [type(callback).__name__ for callback in stopped]
        goes_on = bool(stopped) and all(isinstance(callback, Timer) for callback in stopped)
        return {"by": names or ["a callback"], "goes_on": goes_on}


class TimeLimit(Timer):
    """`max_time` of one process: checked at each epoch's end, and counted from zero after a resume.

    Lightning's own counts the time of all earlier runs: after that time no run could continue.

    Args:
        duration: DD:HH:MM:SS, or as for `datetime.timedelta`.
    """

    def __init__(self, duration: str | timedelta | dict[str, int]) -> None:
        super().__init__(duration, interval="epoch", verbose=False)

    @override
    def on_fit_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        pass  # Lightning would look at the time of earlier runs; every run trains an epoch

    @override
    def state_dict(self) -> dict[str, Any]:
        return {}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass


def _may_stop(trainer: Trainer) -> bool:
    """Whether `min_epochs` and `min_steps` let the training stop after the present epoch."""
    epochs, steps = trainer.min_epochs or 0, trainer.min_steps or 0
    return trainer.current_epoch + 1 >= epochs and trainer.global_step >= steps


def _stopped(callback: Callback) -> bool:
    if isinstance(callback, Timer):
        left = callback.time_remaining()
        return left is not None and left <= 0
    if not isinstance(callback, EarlyStopping):
        return False
    return callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED
