"""Checkpoint files that are complete or absent, and whether an exact resume can start from one."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from typing_extensions import override

from oaa_pl.files.atomic import write_whole

__all__ = ["LAST", "AtomicCheckpointIO", "ends_an_epoch"]

LAST = "last.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint that is complete or absent.

    A SIGKILL leaves the previous checkpoint, never half of one.
    """

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        # Through memory: on a full disk torch's own writer raises an error without a reason.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_whole(Path(path), buffer.getbuffer(), durable=True)


def ends_an_epoch(checkpoint: Mapping[str, Any]) -> bool:
    """Whether Lightning saved a checkpoint behind an epoch's last batch.

    Args:
        checkpoint: its content.
    """
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return bool(progress["is_last_batch"])
