"""Checkpoints that are whole or absent, and end each epoch: what an exact resume starts from."""

import io
import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from typing_extensions import override

from oaa_pl.errors import OutputError, WeightsError

__all__ = [
    "GENERATIONS", "LAST", "AtomicCheckpointIO", "epoch_checkpoint", "generations_in",
    "named_generations",
]  # fmt: skip

LAST = "last.ckpt"

# Under this key a checkpoint names, for each store, the generation and the seal that belong to it.
GENERATIONS = "oaa_generations"


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


def epoch_checkpoint(folder: Path) -> ModelCheckpoint:
    """Keep one checkpoint, `last.ckpt`, replaced at the end of every training epoch.

    Args:
        folder: where it goes.
    """
    return ModelCheckpoint(
        dirpath=folder,
        filename=Path(LAST).stem,
        save_top_k=1,
        monitor=None,
        every_n_epochs=1,
        # After the last batch and before any later epoch: an exact resume repeats whole epochs.
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


def named_generations(trainer: Trainer) -> dict[str, set[int]]:
    """Which generation of each store the checkpoints of a training name, by the store's name.

    Asked of the files, not of a memory of them: whatever callback, process or person made or
    removed a checkpoint, its generation stays exactly as long as it does.

    Args:
        trainer: its checkpoint callbacks, and the checkpoint it resumed from, tell the folders.

    Raises:
        WeightsError: if a checkpoint cannot be read, so that nobody knows what it needs.
    """
    folders = {
        Path(callback.dirpath)
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint) and callback.dirpath
    }
    if trainer.ckpt_path:
        folders.add(Path(trainer.ckpt_path).parent)
    needed: dict[str, set[int]] = defaultdict(set)
    for path in sorted(path for folder in folders for path in folder.glob("*.ckpt")):
        for name, generation in generations_in(path).items():
            needed[name].add(generation)
    return needed


def generations_in(path: Path) -> dict[str, int]:
    """Which generation of each store a checkpoint names; none if it accumulated nothing.

    Raises:
        WeightsError: if it cannot be read.
    """
    try:
        # Mapped: of a checkpoint of any size only its table of contents is read.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return {name: generation for name, (generation, _) in content[GENERATIONS].items()}
    except KeyError:
        return {}
    except Exception as error:  # torch raises almost anything at a file that is none of its own
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"{path} is no readable checkpoint ({reason}), so its training cannot go on, and "
            "nobody knows which generation of the stores it needs; remove it, and train anew if it "
            "was the only one"
        ) from error
