"""`oaa fit`: train one stage."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from oaa_pl.commands.fit_classifier import fit_classifier
from oaa_pl.commands.fit_integral import fit_integral
from oaa_pl.commands.fit_segmenter import fit_segmenter
from oaa_pl.errors import ConfigError

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Train the stage that `cfg.stage` names.

    Raises:
        ConfigError: if there is no such stage.
    """
    stages: Mapping[str, Callable[[], Path]] = {
        "classifier": partial(fit_classifier, cfg),
        "integral": partial(fit_integral, cfg),
        "segmenter": partial(fit_segmenter, cfg, cfg.method),
    }
    if cfg.stage not in stages:
        raise ConfigError(f"stage must be one of {', '.join(stages)}, got {cfg.stage!r}")
    log.info("%s: finished", stages[cfg.stage]())
