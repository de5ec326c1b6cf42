"""The checkpoint that a stage resumes from. Free of Lightning, so that it imports fast."""

from collections.abc import Mapping
from typing import Any

__all__ = ["LAST", "ends_an_epoch"]

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
