"""`oaa evaluate`: score what a run has made against true masks."""

import logging

from omegaconf import DictConfig

from oaa_pl.errors import MissingInputError
from oaa_pl.report.differences import write_differences
from oaa_pl.report.results import collect
from oaa_pl.stages.pipeline import Pipeline
from oaa_pl.stages.submission import submit

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float | None:
    """Score every finished stage of this run, and gather the results of all its seeds.

    Returns:
        The run's `optimized_metric`; None if it was not scored.

    Raises:
        MissingInputError: if nothing is finished, or there is nothing to score it against.
    """
    pipeline = Pipeline(cfg)
    if cfg.submission:
        submit(pipeline, cfg.competition)
    scored, run = pipeline.score(), pipeline.parts.run
    if not (scored or cfg.submission):
        raise MissingInputError(
            f"{run.root} has nothing to score: run 'oaa fit' first; without true masks "
            "and without a validation split (data.val) there are no scores"
        )
    if scored:
        collect(run.home)
        log.info("%s: written", run.home / "results.csv")
        if table := write_differences(run.home):
            log.info("%s: written", table)
    return pipeline.metric(pipeline.scored())
