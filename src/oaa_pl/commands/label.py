"""`oaa label`: a store of maps and a background cue, into proxy labels."""

import logging

from omegaconf import DictConfig

from oaa_pl.config.methods import chosen_method
from oaa_pl.stages.label import label_method

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Make the proxy labels of `chosen_method(cfg).name`."""
    log.info("%s: finished", label_method(cfg, chosen_method(cfg).name))
