"""`oaa fit`: train one stage."""

import logging
from collections.abc import Callable, Mapping

from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only

from oaa_pl.errors import ConfigError
from oaa_pl.stages.dashboard import log_scores
from oaa_pl.stages.pipeline import Pipeline
from oaa_pl.stages.stage import Stage

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float | None:
    """Train the stage that `cfg.stage` names, and add its scores to the results.

    So that a sweep's jobs can be compared without a second command. Without true masks and a
    validation split there is nothing to score.

    Returns:
        The run's `optimized_metric`, for a sweeper; None if it was not scored.

    Raises:
        ConfigError: if there is no such stage, or a CRF cannot be made.
    """
    pipeline, name = Pipeline(cfg), cfg.stage
    makers: Mapping[str, Callable[[], Stage]] = {
        "classifier": pipeline.classifier,
        "integral": pipeline.integral,
        "segmenter": lambda: pipeline.segmenter(pipeline.method),
    }
    if name not in makers:
        raise ConfigError(f"stage must be one of {', '.join(makers)}, got {name!r}")
    pipeline.parts.require_extras()
    stage = makers[name]()
    log.info("%s: finished", stage.run())
    return _scores(pipeline, stage)


@rank_zero_only  # under `ddp` every process runs this command
def _scores(pipeline: Pipeline, stage: Stage) -> float | None:
    scored = pipeline.score()
    if scored:
        pipeline.collect()
    log_scores(pipeline)
    if not scored:
        return None
    own = pipeline.metric([stage])
    return pipeline.metric(pipeline.scored()) if own is None else own
