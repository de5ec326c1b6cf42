"""Whether a checkpoint was saved at the end of an epoch, from where a training resumes exactly."""

from collections.abc import Mapping
from typing import Any

__all__ = ["ends_an_epoch"]


def ends_an_epoch(checkpoint: Mapping[str, Any]) -> bool:
    """Whether Lightning saved a checkpoint after an epoch's last batch.

    Args:
        checkpoint: its content.
    """
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return bool(progress["is_last_batch"])
