"""Metrics that the configuration adds to the package's own scores.

`conf/metric/<name>.yaml` has a node for each metric:

    boundary_iou:
      of: [proxy, segmentation]
      metric: {_target_: my_package.BoundaryIoU, width: 5}

`of` names results, as the table of scores does. The metric is a torchmetrics `Metric`, made with
`num_classes` or `num_labels` if it takes one. `compute` returns a number, which is in the table as
`segmentation/boundary_iou`; or numbers by name, which add their names to this. Vectors by name are
not in the table.

Shapes: H x W pixels, B photos, C classes, K maps of one photo. Ids: 0 background, c + 1 for
foreground class c, 255 ignored.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from oaa_pl.config.recipe import Recipe
from oaa_pl.errors import ConfigError
from oaa_pl.ids import IGNORED

__all__ = ["RESULTS", "AddedMetrics", "Scoring"]

_SIZES = ("num_classes", "num_labels")

# Result -> what `update` of its metrics is given.
RESULTS = {
    "classification": "probabilities (B, C) in [0, 1], labels (B, C) in {0, 1}; num_classes is C",
    "attention": "attention (K, H, W) in [0, 1], classes (K,), mask (H, W); num_classes is C + 1",
    "proxy": "proxy label (H, W), mask (H, W); num_classes is C + 1",
    "segmentation": "label (H, W), mask (H, W); num_classes is C + 1",
}


@dataclass(frozen=True)
class AddedMetrics:
    """What `metric=` adds.

    Attributes:
        nodes: name to `of` and `metric`, as above.

    Raises:
        ConfigError: if a node is not of this form, or names a result that does not exist.
    """

    nodes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, node in self.nodes.items():
            form = isinstance(node, Mapping) and set(node) == {"of", "metric"}
            if not form or not isinstance(node["of"], list) or "_target_" not in node["metric"]:
                raise ConfigError(
                    f"metric.{name} must have 'of', a list of results, and 'metric', a node with "
                    f"a _target_; got {node!r}"
                )
            if unknown := sorted(set(map(str, node["of"])) - set(RESULTS)):
                raise ConfigError(
                    f"metric.{name}.of must be of {', '.join(RESULTS)}; got {', '.join(unknown)}"
                )

    def key(self, result: str) -> dict[str, Any]:
        """What determines the added scores of a result, in plain values; empty without any."""
        own = {name: dict(node["metric"]) for name, node in self._of(result).items()}
        return {"metrics": own} if own else {}

    def begin(self, result: str, num_classes: int) -> "Scoring":
        """Empty metrics of a result.

        Args:
            result: one of `RESULTS`.
            num_classes: C for a classification; C + 1, background included, for other results.

        Raises:
            ConfigError: if one is not a torchmetrics `Metric`.
            InstantiationException: of Hydra's, if one cannot be made.
        """
        made = {}
        for name, node in self._of(result).items():
            recipe = Recipe(node["metric"])
            metric = recipe(**dict.fromkeys(_taken(recipe.bound()), num_classes))
            if not isinstance(metric, Metric):
                raise ConfigError(
                    f"metric.{name}.metric must make a torchmetrics.Metric, got {metric!r}"
                )
            made[name] = metric
        return Scoring(result, made)

    def _of(self, result: str) -> dict[str, Any]:
        return {name: node for name, node in self.nodes.items() if result in node["of"]}


class Scoring:
    """Added metrics of one result while it is scored.

    Args:
        result: one of `RESULTS`.
        metrics: empty ones by name.
    """

    def __init__(self, result: str, metrics: Mapping[str, Metric]) -> None:
        self._result, self._metrics = result, metrics

    def __bool__(self) -> bool:
        return bool(self._metrics)

    def update(self, *values: Tensor) -> None:
        """Count one photo, or one batch of a classification: see `RESULTS`."""
        for metric in self._metrics.values():
            metric.update(*values)

    def update_labels(self, label: Tensor, mask: Tensor) -> None:
        """Count a label map that may abstain: its ignored pixels are ignored in the mask as well.

        Args:
            label: ids 0..C or 255, (H, W).
            mask: the same, (H, W).
        """
        if self._metrics:
            abstains = label == IGNORED
            self.update(label.where(~abstains, 0).long(), mask.where(~abstains, IGNORED).long())

    def scores(self, suffix: str = "") -> dict[str, float]:
        """Scores by their names in the table, two underscores for the slash.

        Args:
            suffix: of each name.

        Raises:
            ConfigError: if a metric computes neither a number nor numbers by name.
        """
        found = {}
        for name, metric in self._metrics.items():
            value = metric.compute()
            named = value if isinstance(value, Mapping) else {name: value}
            numbers = {part: torch.as_tensor(score) for part, score in named.items()}
            numbers = {part: number for part, number in numbers.items() if number.numel() == 1}
            if not numbers:
                raise ConfigError(
                    f"metric.{name}: compute() must return a number, or numbers by name; got "
                    f"{value!r}"
                )
            for part, number in numbers.items():
                full = name if part == name else f"{name}_{part}"
                found[f"{self._result}__{full}" + f"_{suffix}" * bool(suffix)] = float(number)
        return found


def _taken(function: Any) -> list[str]:
    """Names of the arguments, by which a metric is given its number of classes."""
    try:
        known = inspect.signature(function).parameters
    except ValueError:  # of some classes of Python itself
        return []
    return [size for size in _SIZES if size in known]
