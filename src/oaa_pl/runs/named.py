"""The folders of the run that a configuration names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oaa_pl.config.compose import variant
from oaa_pl.config.segmenter import network_of_segmenters
from oaa_pl.runs.folders import Run

__all__ = ["run_of"]


def run_of(values: Mapping[str, Any]) -> Run:
    """Folders of the run that a configuration names; its data set need not be given.

    Args:
        values: the configuration, composed or as plain values.

    Raises:
        ConfigError: if the seed is not a number that every generator takes.
    """
    segmenter, crf = values["segmenter"], str(values["crf"]["_target_"])
    net = network_of_segmenters(segmenter)
    return Run.named(
        Path(values["runs"]), values["name"], values["seed"], variant=variant(),
        net=net, share=segmenter["fraction"], crf=not crf.endswith(".no_crf"),
    )  # fmt: skip
