"""`oaa attend`: a trained model's attention maps, into a store."""

import logging

from omegaconf import DictConfig

from oaa_pl.stages.pipeline import Pipeline

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Export the maps of the model behind the chosen method."""
    pipeline = Pipeline(cfg)
    log.info("%s: finished", pipeline.attention(pipeline.method).run())
