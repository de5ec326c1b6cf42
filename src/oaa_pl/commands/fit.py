"""`oaa fit`: train one stage."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only

from oaa_pl.config.methods import chosen_method
from oaa_pl.errors import ConfigError
from oaa_pl.report.results import collect
from oaa_pl.runs.folders import Run
from oaa_pl.stages import build
from oaa_pl.stages.classifier import fit_classifier
from oaa_pl.stages.evaluate import evaluate_run
from oaa_pl.stages.integral import fit_integral
from oaa_pl.stages.segmenter import fit_segmenter

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Train the stage that `cfg.stage` names, and add its scores to the results.

    So that a sweep's jobs can be compared without a second command. Without true masks and a
    validation split there is nothing to score.

    Raises:
        ConfigError: if there is no such stage, or a CRF cannot be made.
    """
    stages: Mapping[str, Callable[[], Path]] = {
        "classifier": partial(fit_classifier, cfg),
        "integral": partial(fit_integral, cfg),
        "segmenter": partial(fit_segmenter, cfg, chosen_method(cfg).name),
    }
    if cfg.stage not in stages:
        raise ConfigError(f"stage must be one of {', '.join(stages)}, got {cfg.stage!r}")
    build.require_extras(cfg)
    log.info("%s: finished", stages[cfg.stage]())
    _add_scores(cfg)


@rank_zero_only  # under `ddp` every process runs this command
def _add_scores(cfg: DictConfig) -> None:
    if evaluate_run(cfg):
        collect(Run.of(cfg).home)
