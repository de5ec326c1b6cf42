"""Where accumulation takes a batch's score map from: the training step, a hook, or a function.

Shapes: B images, C classes, h x w cells.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from oaa_pl.callbacks.hook import HookedScoreMap
from oaa_pl.callbacks.lightning import LightningModule
from oaa_pl.callbacks.step import returned_map
from oaa_pl.errors import ConfigError
from oaa_pl.nets.probe import evaluating

__all__ = ["AUTO", "ScoreMapFunction", "ScoreMaps"]

AUTO = "auto"
"""The layer whose maps are accumulated is to be found by a run on a probe image."""

ScoreMapFunction = Callable[[Any, Any], Tensor | tuple[Tensor, Tensor]]


class ScoreMaps:
    """The score map of each batch of a training.

    Attributes:
        scores: class scores (B, C) of the batch that was read last, where the function gives them;
            None: the mean of its map is the score.

    Args:
        layer: a layer to hook; `auto`: found; None: the step returns the map. See
            `HookedScoreMap`.
        head: what comes after its pooling.
        function: instead of the others: from the module and a batch to score maps (B, C, h, w); or
            to scores (B, C) and score maps, where the mean of a map is not the score. It is called
            after the batch's step, in evaluation mode and without gradients.

    Raises:
        ConfigError: if both a layer and a function are given, a head without a layer, or something
            that is not the path of a layer or a function.
    """

    def __init__(
        self, layer: str | None, head: str | None, function: ScoreMapFunction | None
    ) -> None:
        for name, path in (("layer", layer), ("head", head)):
            given: object = path  # callers may be without type checks
            if given is not None and not (isinstance(given, str) and given):
                raise ConfigError(
                    f"{name}= must be the path of a layer inside the LightningModule, "
                    f"'model.layer4' for example, got {type(path).__name__} {path!r:.40}"
                )
        if function is not None and not callable(function):
            raise ConfigError(
                "score_map= must be a function of the module and a batch that returns score maps "
                f"(B, C, h, w), got {function!r:.40}; a layer is named by layer="
            )
        if function is not None and (layer, head) != (None, None):
            raise ConfigError("give layer= and head=, or score_map=, not both")
        if head is not None and layer in (None, AUTO):
            raise ConfigError(f"head={head!r} needs layer=, the path of the layer that is pooled")
        self._layer, self._head, self._function = layer, head, function
        self._hook: HookedScoreMap | None = None
        self.scores: Tensor | None = None

    def attach(self, module: LightningModule) -> None:
        """Register the hook, where there is one, before the first batch.

        Raises:
            ConfigError: if the module has no such layer.
            UnfitNetworkError: if a layer is to be found, and no network in the module fits.
        """
        self.detach()
        if self._layer is not None:
            layer = None if self._layer == AUTO else self._layer
            self._hook = HookedScoreMap(module, layer, self._head)

    def detach(self) -> None:
        """Remove the hook and forget its map."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def read(self, module: LightningModule, batch: Any, outputs: Any) -> Tensor | None:
        """The score map of a batch whose step has just ended.

        Args:
            module: what is trained.
            batch: as the step received it.
            outputs: what Lightning hands to `on_train_batch_end`.

        Returns:
            (B, C, h, w); None if the step skipped its batch.

        Raises:
            ConfigError: if there is no map of a batch that was not skipped, or the function does
                not return one.
        """
        if self._hook is None and self._function is None:
            return returned_map(outputs, module)
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        # With manual optimisation a step need not return anything.
        if loss is None and module.automatic_optimization:
            self.drop()
            return None
        if self._function is None:
            return None if self._hook is None else self._hook.read()
        with torch.no_grad(), evaluating(module):
            found = self._function(module, batch)
        self.scores, score_map = found if _is_pair(found) else (None, found)
        if not isinstance(score_map, Tensor):
            raise ConfigError(
                "score_map= must return the score maps of its batch, a tensor (B, C, h, w), or "
                f"scores (B, C) and score maps, got {type(found).__name__}"
            )
        return score_map

    def require_fit(self, score_map: Tensor, labels: Tensor) -> None:
        """Check that a named layer returns a map of each class. Looks at shapes only.

        Args:
            score_map: of a batch, (B, D, h, w).
            labels: its tags, (B, C).

        Raises:
            ConfigError: if it returns features: D is not C, and no head is given.
        """
        if self._hook is None or not self._hook.needs_head(score_map, labels):
            return
        raise ConfigError(
            f"layer={self._hook.layer!r} returns {score_map.shape[1]} maps for each image, and "
            f"there are {labels.shape[1]} classes: give head= as well, the path of what comes "
            "after the pooling ('model.fc' for example), or layer='auto'"
        )

    def drop(self) -> None:
        """Forget the map of a batch that is not accumulated."""
        self.scores = None
        if self._hook is not None:
            self._hook.drop()


def _is_pair(found: object) -> bool:
    """Whether a function returned scores and score map, as `score_map_of` gives them."""
    return isinstance(found, tuple) and len(found) == 2
