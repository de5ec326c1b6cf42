"""Checkpoint files that are whole or absent."""

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from typing_extensions import override

from oaa_pl.callbacks.epoch_end import ends_an_epoch
from oaa_pl.errors import OutputError

__all__ = ["LAST", "AtomicCheckpointIO", "ends_an_epoch"]

LAST = "last.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its final name, flush it to disk, and rename it.

    A SIGKILL leaves the previous checkpoint, never half of one.
    """

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        final = Path(path)
        partial = final.with_name(f".{final.name}.partial")
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(buffer.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(final)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise OutputError(
                f"{final} cannot be written ({error.strerror}); free disk space, or choose "
                "another run folder"
            ) from error
