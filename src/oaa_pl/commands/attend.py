"""`oaa attend`: a trained model's attention maps, into a store."""

import logging

from omegaconf import DictConfig

from oaa_pl.config.methods import chosen_method
from oaa_pl.stages.attend import attend_method

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Export the maps of the model behind `chosen_method(cfg).name`."""
    log.info("%s: finished", attend_method(cfg, chosen_method(cfg).name))
