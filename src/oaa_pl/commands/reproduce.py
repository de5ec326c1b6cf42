"""`oaa reproduce`: every stage in order; finished ones skipped, an interrupted one resumed."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.data.fitness import check_fit
from oaa_pl.plan.command_line import CommandLine
from oaa_pl.plan.estimate import announce
from oaa_pl.report.differences import write_differences
from oaa_pl.runs.shared import one_job_at_a_time
from oaa_pl.stages.dashboard import log_scores
from oaa_pl.stages.label import LabelStage
from oaa_pl.stages.pipeline import Pipeline
from oaa_pl.stages.run_beside import beside_of
from oaa_pl.stages.run_report import write_report

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float | None:
    """Run every stage that `cfg.methods` needs, score them, and write the report.

    Returns:
        The run's `optimized_metric`, for a sweeper; None if it was not scored.

    Raises:
        MissingInputError: if the background cue or the proposals lack a photo; reported before the
            first stage, since their turn comes after hours of training.
        BadMaskError: if a mask or a saliency map is of no use; reported then as well.
        ConfigError: if a CRF cannot be made, a value of `evaluate` is out of range, `report.beside`
            is not a run, or an id is too long for a file name; reported then as well.
    """
    pipeline = Pipeline(cfg)
    stages, parts = pipeline.stages(), pipeline.parts
    parts.require_extras()
    beside_of(parts.run, parts.value("report.beside"))
    labels = [stage for stage in stages if isinstance(stage, LabelStage)]
    if not all(stage.finished for stage in labels):
        for source in parts.data.sources:
            if source is not None:
                check_fit(source)
        if labels:  # none for methods=[masks]
            labels[0].cue()
            labels[0].refinement()
    announce(stages, CommandLine.of(parts.values))
    for number, stage in enumerate(stages, 1):
        log.info("[%d/%d] %s", number, len(stages), stage.title)
        stage.run(alone=False)
    log.info("scores")
    if pipeline.score():
        pipeline.collect()
        write_differences(parts.run.home)
    else:
        log.warning("no true masks and no validation split: nothing was scored")
    with one_job_at_a_time("report"):
        page = write_report(parts)
    log_scores(pipeline)
    log.info("finished; look at:")
    for what, place in _places(pipeline, page).items():
        log.info("  %-8s %s", what, place)
    return pipeline.metric(pipeline.scored())


def _places(pipeline: Pipeline, page: Path) -> dict[str, Path]:
    """What there is to look at, by what it is."""
    run, method = pipeline.parts.run, pipeline.methods[-1]
    places = {
        "page": page,
        "scores": run.home / "results.csv",
        "masks": run.segmentations(method) / "predictions",
        "model": run.segmenter(method) / LAST,
    }
    return {what: place for what, place in places.items() if place.exists()}
