"""The one checkpoint that a stage resumes from: replaced at the end of every epoch."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from typing_extensions import override

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.errors import ConfigError

__all__ = ["EpochCheckpoint"]


class EpochCheckpoint(ModelCheckpoint):
    """Keep one checkpoint, `last.ckpt`, replaced at the end of every training epoch.

    It has no state of its own, and a key of its own, so that it works beside any `ModelCheckpoint`.

    Args:
        folder: where it goes.

    Raises:
        ConfigError: when training starts, if a part of it has a state that could be saved but not
            be loaded safely.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            dirpath=folder,
            filename=Path(LAST).stem,
            save_top_k=1,
            monitor=None,
            every_n_epochs=1,
            # After the last batch and before any later epoch: an exact resume repeats whole epochs.
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set in its connector
            _require_readable(f"callback {type(callback).__name__}", callback.state_dict())
        for optimizer in trainer.optimizers:
            _require_readable(type(optimizer).__name__, optimizer.state_dict()["param_groups"])
        for config in trainer.lr_scheduler_configs:
            _require_readable(type(config.scheduler).__name__, config.scheduler.state_dict())

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        planned = 0 <= trainer.max_steps <= trainer.global_step
        if trainer.is_last_batch or planned:
            super().on_train_epoch_end(trainer, pl_module)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass


def _require_readable(what: str, state: Any) -> None:
    """Refuse a state that a checkpoint could hold but no safe loader would read."""
    buffer = io.BytesIO()
    try:
        torch.save(state, buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True)
    except Exception as error:  # torch and pickle raise almost anything
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"the state of {what} holds more than tensors and plain values, so that no checkpoint "
            f"of this training could be resumed; let its state_dict() return those ({reason})"
        ) from error
