"""`oaa evaluate`: score what a run has made against true masks."""

import logging

from omegaconf import DictConfig

from oaa_pl.errors import MissingInputError
from oaa_pl.report.results import collect
from oaa_pl.runs.folders import Run
from oaa_pl.stages.evaluate import evaluate_run
from oaa_pl.stages.submission import submit

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Score every finished stage of this run, and gather the results of all its seeds.

    Raises:
        MissingInputError: if nothing is finished, or there is nothing to score it against.
    """
    if cfg.submission:
        submit(cfg)
    scored = evaluate_run(cfg)
    home = Run.of(cfg).home
    if not (scored or cfg.submission):
        raise MissingInputError(
            f"{Run.of(cfg).root} has nothing to score: run 'oaa fit' first; without true masks "
            "and without a validation split (data.val) there are no scores"
        )
    if scored:
        collect(home)
        log.info("%s: written", home / "results.csv")
