"""Read a stage's checkpoint: how far the training came, and whether it can continue exactly."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from oaa_pl.callbacks.early_stop import StopAtEpochEnd
from oaa_pl.callbacks.resumable import LAST, ends_an_epoch
from oaa_pl.errors import ConfigError, WeightsError

__all__ = ["Progress", "progress_of", "resume_point", "set_aside_requeued"]

log = logging.getLogger(__name__)


class Progress(NamedTuple):
    """How far a training had come when its checkpoint was saved.

    Attributes:
        epochs: begun, complete or not.
        steps: of the optimiser.
        whole: whether the last epoch is complete.
        stopped_by: callbacks that stopped it before its planned length, such as "EarlyStopping".
        goes_on: whether only a time limit stopped it, so that the training can be resumed.
    """

    epochs: int
    steps: int
    whole: bool
    stopped_by: tuple[str, ...] = ()
    goes_on: bool = False

    def reached(self, epochs: int | None, steps: int) -> bool:
        """Whether the planned length was reached.

        Args:
            epochs: planned, or None if the length is given in steps.
            steps: planned, where `epochs` is None.
        """
        return self.steps >= steps if epochs is None else self.whole and self.epochs >= epochs

    @property
    def stopped(self) -> bool:
        """Whether the training was stopped before its planned length, and is not to be resumed."""
        return bool(self.stopped_by) and not self.goes_on


def progress_of(folder: Path) -> Progress | None:
    """The progress that a stage's checkpoint holds; None if there is no checkpoint.

    Raises:
        WeightsError: if the checkpoint cannot be read.
    """
    path = folder / LAST
    if not path.is_file():
        return None
    try:
        # Mapped: of a checkpoint of any size only its table of contents is read.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        stop: Mapping[str, Any] = content.get("callbacks", {}).get(StopAtEpochEnd.__qualname__, {})
        return Progress(
            int(content["epoch"]) + 1,
            int(content["global_step"]),
            ends_an_epoch(content),
            tuple(stop.get("by", ())),
            bool(stop.get("goes_on", False)),
        )
    except Exception as error:  # torch raises almost any error for a file of another kind
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise WeightsError(
            f"{path} is not a readable checkpoint ({reason}), so its training cannot continue; "
            "remove it to train again from the start"
        ) from error


def resume_point(folder: Path, epochs: int | None, steps: int) -> Progress | None:
    """The progress from which a stage continues; None if it starts from the beginning.

    Args:
        folder: the stage's.
        epochs: planned, or None if the length is given in steps.
        steps: planned, where `epochs` is None.

    Raises:
        WeightsError: if the checkpoint cannot be read.
        ConfigError: if it was saved inside an epoch, where no data loader can continue exactly.
    """
    progress = progress_of(folder)
    if progress is None or progress.whole or progress.reached(epochs, steps):
        return progress
    raise ConfigError(
        f"{folder / LAST} was saved inside epoch {progress.epochs - 1}, and no training can "
        "continue exactly from there; remove it to train the stage again from the start, or "
        "replace it by one that was saved at the end of an epoch"
    )


def set_aside_requeued(folder: Path) -> None:
    """Rename checkpoints that SLURM's requeue saved inside an epoch.

    Without this, Lightning would resume from them.

    Every process of a training may do this at the same time.

    Args:
        folder: the stage's.
    """
    for path in sorted(folder.glob("hpc_ckpt_*.ckpt")):
        # Lightning looks for the old name anywhere in a file's name.
        unused = path.with_name(f"requeued-{path.stem.rpartition('_')[2]}.unused")
        with suppress(FileNotFoundError):
            path.rename(unused)
            log.warning(
                "%s was saved inside an epoch, when SLURM asked to requeue; it is not used (now "
                "%s): the stage continues from %s, or starts again", path, unused.name, LAST,
            )  # fmt: skip
