"""The calls that make a stage's parts, for its checkpoint."""

from typing import Any

from omegaconf import DictConfig

from oaa_pl.config.factory import factory
from oaa_pl.stages.build import plain, without_weights

__all__ = ["recipe"]


def recipe(cfg: DictConfig, stage: str, outputs: int) -> dict[str, Any]:
    """Network, optimiser, schedule and loss of a stage as plain mappings with `_target_`.

    Args:
        cfg: the configuration.
        stage: "classifier", "integral" or "segmenter".
        outputs: channels of the network's maps.

    Raises:
        ConfigError: if the optimiser or the schedule cannot be made.
    """
    # The checkpoint has the weights; the file that training started from may have gone.
    net = plain(without_weights(cfg).net)["segmenter" if stage == "segmenter" else "attention"]
    net = {key: value for key, value in net.items() if key != "_partial_"}
    found: dict[str, Any] = {"net": {**net, "num_classes": outputs}}
    for name in ("optimizer", "schedule"):
        made = factory(cfg[stage][name], f"{stage}.{name}")
        target = cfg[stage][name]["_target_"]
        found[name] = {"_target_": target, "_partial_": True, **getattr(made, "keywords", {})}
    if stage == "integral":
        found["loss"] = plain(cfg.loss.function)
    return found
