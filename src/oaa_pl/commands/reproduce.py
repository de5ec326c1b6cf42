"""`oaa reproduce`: every stage in order; finished ones skipped, an interrupted one resumed."""

import logging

from omegaconf import DictConfig

from oaa_pl.commands.report import write_report
from oaa_pl.data.fitness import check_fit
from oaa_pl.plan.command_line import CommandLine
from oaa_pl.plan.estimate import announce
from oaa_pl.report.differences import write_differences
from oaa_pl.report.results import collect
from oaa_pl.stages.label import LabelStage
from oaa_pl.stages.pipeline import Pipeline

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float | None:
    """Run every stage that `cfg.methods` needs, score them, and write the report.

    Returns:
        The run's `optimized_metric`, for a sweeper; None if it was not scored.

    Raises:
        MissingInputError: if the background cue lacks a photo; reported before the first stage,
            since the cue's turn comes after hours of training.
        BadMaskError: if a mask or a saliency map is of no use; reported then as well.
        ConfigError: if a CRF cannot be made, a value of `evaluate` is out of range, or an id is
            too long for a file name; reported then as well.
    """
    pipeline = Pipeline(cfg)
    stages, parts = pipeline.stages(), pipeline.parts
    parts.require_extras()
    labels = [stage for stage in stages if isinstance(stage, LabelStage)]
    if not all(stage.finished for stage in labels):
        for source in parts.data.sources:
            if source is not None:
                check_fit(source)
        if labels:  # none for methods=[masks]
            labels[0].cue()
    announce(stages, CommandLine.of(parts.values))
    for number, stage in enumerate(stages, 1):
        log.info("[%d/%d] %s", number, len(stages), stage.title)
        stage.run(alone=False)
    log.info("scores")
    home = parts.run.home
    if pipeline.score():
        collect(home)
        log.info("%s", home / "results.csv")
        if table := write_differences(home):
            log.info("%s", table)
    else:
        log.warning("no true masks and no validation split: nothing was scored")
    log.info("%s", write_report(cfg))
    return pipeline.metric(pipeline.scored())
