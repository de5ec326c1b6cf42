"""`oaa predict`: masks and more for a folder of new photos."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.methods import chosen_method
from oaa_pl.config.recipe import plain
from oaa_pl.config.segmenter import named_keys
from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.files.home import expanded_path
from oaa_pl.prediction.predictor import Predictor
from oaa_pl.prediction.recorded import recorded_segmenter
from oaa_pl.prediction.segmented_folder import Wanted, segment_folder
from oaa_pl.prediction.settings import settings_of
from oaa_pl.prediction.views import looked_at
from oaa_pl.runs.named import run_of
from oaa_pl.runs.recorded import require_known

__all__ = ["run"]


def run(cfg: DictConfig) -> None:
    """Segment every photo of a folder whose files are not complete yet; see `segment_folder`.

    The segmenter's folder is enough, wherever it is: it records the network, its classes and how
    it looks at photos. What the command line names about the last (`evaluate.*`, `crf`,
    `trainer`) is taken in place of what is recorded.

    Raises:
        ConfigError: if no folder of photos is given, the checkpoint is not a segmenter's, or the
            command line names what cannot be changed.
        MissingInputError: if the folder or the checkpoint does not exist.
        BadImageError: if not one file could be read.
        RunMismatchError: if the output has predictions made with other settings.
    """
    if cfg.predict.photos is None:
        raise ConfigError("predict.photos is not set; say predict.photos=<folder of photos>")
    photos = expanded_path(cfg.predict.photos)
    if not photos.is_dir():
        raise MissingInputError(f"predict.photos: {photos} is not a folder")
    wanted = Wanted(cfg.predict.overlays, cfg.predict.confidence, cfg.predict.rle)
    default = run_of(cfg).segmenter(chosen_method(cfg).name) / LAST
    checkpoint = expanded_path(cfg.predict.checkpoint or default)
    predictor, settings = _predictor(cfg, checkpoint)
    segment_folder(predictor, photos, expanded_path(cfg.predict.output), settings, wanted)


def _predictor(cfg: DictConfig, checkpoint: Path) -> tuple[Predictor, dict[str, Any]]:
    """A segmenter as its folder records it, changed by what the command line names; and how.

    Args:
        cfg: this command's.
        checkpoint: the segmenter's.
    """
    if not checkpoint.is_file():
        raise MissingInputError(
            f"{checkpoint} does not exist; first run 'oaa fit stage=segmenter', or say "
            "predict.checkpoint=<file>"
        )
    allow, keys = plain(cfg.allow_targets), named_keys()
    if not isinstance(allow, list):
        raise ConfigError(f"allow_targets must be a list such as [mynet,timm], got {allow!r}")
    recorded, classes = recorded_segmenter(checkpoint, allow)
    found = looked_at(recorded, cfg, keys)
    if not any(key == "crf" or key.startswith("crf.") for key in keys):
        require_known(found.crf, checkpoint.parent / "config.yaml", allow)
    tile = plain(cfg.predict.tile)
    predictor = Predictor.of(
        found, checkpoint, classes, tile=tile, batch_size=plain(cfg.predict.batch_size)
    )
    return predictor, settings_of(found, checkpoint, tile)
