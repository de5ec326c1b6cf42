"""`oaa report`: the tables, curves and pictures of a run on one page."""

import logging

from omegaconf import DictConfig

from oaa_pl.stages.configured import Configured
from oaa_pl.stages.run_report import write_report

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Write the report of everything under `<runs>/<name>`.

    Raises:
        MissingInputError: if nothing was scored yet, or `report.beside` is not a run.
        RunMismatchError: if `report.beside` is of other classes or photos.
        ConfigError: if `evaluate.threshold` or a value of `report` is out of range.
    """
    log.info("%s: written", write_report(Configured(cfg)))
