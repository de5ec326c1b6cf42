"""The checkpoint that a stage resumes from. Free of Lightning, so that it imports fast."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["LAST", "ends_an_epoch", "warn_of_checkpoints_inside_epochs"]

log = logging.getLogger(__name__)

LAST = "last.ckpt"
"""Its file name in the stage's folder."""


def ends_an_epoch(checkpoint: Mapping[str, Any]) -> bool:
    """Whether Lightning saved a checkpoint after an epoch's last batch.

    Only from there a training can be resumed exactly.

    Args:
        checkpoint: its content.
    """
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return bool(progress["is_last_batch"])


def warn_of_checkpoints_inside_epochs(callbacks: Iterable[Any]) -> None:
    """Warn of a trainer's callbacks that write checkpoints from which no training is resumed.

    Args:
        callbacks: of the trainer.
    """
    for callback in callbacks:
        steps = getattr(callback, "_every_n_train_steps", None)
        if steps or getattr(callback, "_train_time_interval", None):
            log.warning(
                "%s writes checkpoints inside epochs. A training that accumulates attention is not "
                "resumed from those, since no data loader can continue exactly. To be able to "
                "resume, add ModelCheckpoint(every_n_epochs=1, save_on_train_epoch_end=True)",
                type(callback).__name__,
            )
