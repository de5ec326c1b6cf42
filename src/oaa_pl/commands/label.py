"""`oaa label`: a store of maps and a background cue, into proxy labels."""

import logging

from omegaconf import DictConfig

from oaa_pl.stages.pipeline import Pipeline

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Make the proxy labels of the chosen method."""
    pipeline = Pipeline(cfg)
    log.info("%s: finished", pipeline.labels(pipeline.method).run())
