"""Checkpoint files that are complete or absent."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from typing_extensions import override

from oaa_pl.files.atomic import sweep, write_whole

__all__ = ["AtomicCheckpointIO"]


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
        # A killed process leaves a file as large as a checkpoint.
        sweep(Path(path).parent, ".*.partial")
        write_whole(Path(path), buffer.getbuffer(), durable=True)
