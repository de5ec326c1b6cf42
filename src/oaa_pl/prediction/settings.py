"""What determines a mask beside the photo: compared before predictions are continued."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from oaa_pl.runs.inputs import digest_of
from oaa_pl.stages.configured import Configured
from oaa_pl.training.precision import as_trained

__all__ = ["settings_of"]


def settings_of(cfg: DictConfig, checkpoint: Path, tile: int | None) -> dict[str, Any]:
    """Plain values that determine the masks of a segmenter.

    The device and the batch size are left out: they change a mask by rounding at most.

    Args:
        cfg: the configuration that the segmenter is used with.
        checkpoint: its file.
        tile: longest side in pixels of what the network gets at once; None: any.
    """
    segmenting = Configured(cfg).segmenting
    trainer = as_trained(segmenting.trainer, checkpoint.parent, segmenting.net.full_on_cpu)
    return {
        "checkpoint": digest_of(checkpoint),
        "crf": segmenting.crf.key,
        "precision": str(trainer.precision),
        "tile": tile,
        "views": dict(segmenting.views),
    }
