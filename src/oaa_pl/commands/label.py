"""`oaa label`: a store of maps and a background cue, into proxy labels."""

import logging

from omegaconf import DictConfig

from oaa_pl.config.methods import chosen_method
from oaa_pl.stages.pipeline import Pipeline

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Make the proxy labels of the chosen method's maps."""
    log.info("%s: finished", Pipeline(cfg).labels(chosen_method(cfg).name).run())
