"""`oaa export`: a trained network as a file for other software."""

import logging

from omegaconf import DictConfig

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.methods import chosen_method
from oaa_pl.config.recipe import plain
from oaa_pl.errors import ConfigError
from oaa_pl.files.home import expanded_path
from oaa_pl.prediction.export.exported import export
from oaa_pl.runs.named import run_of

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Export the network of a stage; see `prediction.export`.

    Raises:
        ConfigError: if a value is unknown, or a format's extra is not installed.
        MissingInputError: if the checkpoint does not exist.
        ExportError: if the network cannot be exported, or the file gives other values.
    """
    allow, settings = plain(cfg.allow_targets), cfg.export
    if not isinstance(allow, list):
        raise ConfigError(f"allow_targets must be a list such as [mynet,timm], got {allow!r}")
    run_folders = run_of(cfg)
    defaults = {
        "classifier": lambda: run_folders.classifier,
        "integral": lambda: run_folders.integral(cfg.loss.name),
        "segmenter": lambda: run_folders.segmenter(chosen_method(cfg).name),
    }
    if cfg.stage not in defaults:
        raise ConfigError(f"stage must be one of {', '.join(defaults)}, got {cfg.stage!r}")
    checkpoint = expanded_path(settings.checkpoint or defaults[cfg.stage]() / LAST)
    made = export(
        checkpoint / LAST if checkpoint.is_dir() else checkpoint,
        cfg.format,
        expanded_path(settings.output),
        photo=None if settings.photo is None else expanded_path(settings.photo),
        licence=settings.licence,
        allow=allow,
    )
    log.info(
        "%s: equal to the checkpoint on %d photos (labels %.3f %%, largest difference %.2g); "
        "model card %s", made.file, made.agreement.photos, 100 * made.agreement.labels,
        made.agreement.difference, made.card.name,
    )  # fmt: skip
