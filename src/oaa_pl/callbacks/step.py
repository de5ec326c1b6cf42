"""What a stranger's `training_step` and batches hold for accumulation, or an error that helps."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from oaa_pl.callbacks.lightning import LightningModule
from oaa_pl.errors import ConfigError

__all__ = ["as_is", "batch_fields", "returned_map"]

_HOW = (
    "give AttentionAccumulation(read_batch=...), a function from your batch to such a dict, for "
    'example lambda batch: {"labels": batch[1], "index": batch[2]}'
)


def as_is(batch: Any) -> Any:
    """A batch that is a dict already."""
    return batch


def returned_map(outputs: Any, module: LightningModule) -> Tensor | None:
    """The score map that a training step returned; None if it skipped its batch.

    Args:
        outputs: what Lightning hands to `on_train_batch_end`.
        module: whose step it was, for the error.

    Raises:
        ConfigError: if the step returned something without a score map.
    """
    if outputs is None:
        return None
    if isinstance(outputs, Mapping):
        if outputs.get("score_map") is not None:
            score_map: Tensor = outputs["score_map"]
            return score_map
        if outputs.get("loss") is None:
            return None  # Lightning makes an empty dict of a step that returned None
    found = sorted(outputs) if isinstance(outputs, Mapping) else type(outputs).__name__
    raise ConfigError(
        f"{type(module).__name__}.training_step must return 'score_map' (B, C, h, w) for attention "
        f"accumulation, beside 'loss'; it returned {found}. Or leave the step as it is, and give "
        "AttentionAccumulation(layer='model.layer4', head='model.fc'), or layer='auto'"
    )


def batch_fields(batch: Any) -> dict[str, Any]:
    """The fields of a batch that accumulation reads, as far as the batch has them, as tensors.

    Args:
        batch: a dict with `labels` (B, C) and `index` (B,), perhaps `view` and `repeat`: see
            `oaa_pl.types.Batch`. Without `view` each map is of a whole image, without `repeat`
            no image is a padding copy.

    Raises:
        ConfigError: if it is not a dict, or lacks labels or index.
    """
    if not isinstance(batch, Mapping):
        raise ConfigError(
            f"a batch must be a dict with 'labels' and 'index' for attention accumulation, got "
            f"{type(batch).__name__}; {_HOW}"
        )
    missing = [name for name in ("labels", "index") if batch.get(name) is None]
    if missing:
        raise ConfigError(
            f"a batch needs {' and '.join(map(repr, missing))} for attention accumulation, got "
            f"{sorted(map(str, batch))}. 'labels' (B, C) tells which classes an image has, 'index' "
            "(B,) its place in the data set: let your data set return it (for example from "
            f"__getitem__(self, index)); or {_HOW}"
        )
    known = ("labels", "index", "view", "repeat")
    return {name: torch.as_tensor(batch[name]) for name in known if batch.get(name) is not None}
