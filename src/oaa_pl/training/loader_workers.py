"""How many processes decode photos beside a training."""

from collections.abc import Mapping
from typing import Any

import torch

from oaa_pl.config.trainer_key import asked_processes
from oaa_pl.machine import usable_cores
from oaa_pl.training.device import accelerator_of

__all__ = ["loader_workers"]

_MOST = 8  # for each process that trains: EfficientNet-Lite0 does not decode more on one GPU


def loader_workers(asked: int | None, trainer: Mapping[str, Any]) -> int:
    """The value of `loader.num_workers` for a trainer: batches are the same with any.

    On a CPU, decoding is a few percent of a step, and workers would compete with the training for
    the cores. A GPU trains faster than one process decodes.

    Args:
        asked: as configured; None: beside a CUDA GPU a worker for each core but the training's own,
            8 at most; elsewhere 0.
        trainer: its settings, as plain values.
    """
    if asked is not None:
        return asked
    if accelerator_of(trainer.get("accelerator")) != "cuda":
        return 0  # Apple's GPUs were not tried
    here = torch.cuda.device_count()
    processes = min(asked_processes(trainer) or here, here)  # other nodes have other cores
    return max(1, min(_MOST, usable_cores() // processes - 1))
