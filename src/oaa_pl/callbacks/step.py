"""What a stranger's `training_step` and batches hold for accumulation, or an error that helps."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from oaa_pl.callbacks.lightning import LightningModule
from oaa_pl.errors import ConfigError

__all__ = ["as_is", "batch_fields", "returned_map"]

_HOW = (
    "give AttentionAccumulation(read_batch=...), a function from your batch to such a dict, for "
    'example lambda batch: {"labels": batch[1], "index": batch[2]}. Where a batch has no index '
    "yet, let your data set return it: `return image, labels, index` in __getitem__(self, index)"
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


def batch_fields(
    batch: Any, read_batch: Callable[[Any], Mapping[str, Any]] = as_is
) -> dict[str, Any]:
    """The fields of a batch that accumulation reads, as far as the batch has them, as tensors.

    Args:
        batch: as the training step received it.
        read_batch: maps it to a dict with `labels` (B, C) and `index` (B,), perhaps `view` and
            `repeat`: see `oaa_pl.types.Batch`. Without `view` each map is of a whole image, without
            `repeat` no image is a padding copy.

    Raises:
        ConfigError: if `read_batch` fails or returns no dict, if labels or index are missing, or if
            a field cannot be made a tensor.
    """
    try:
        fields = read_batch(batch)
    except Exception as error:  # of a function of the caller
        raise ConfigError(
            f"read_batch failed on a batch that is {_described(batch)} ({type(error).__name__}: "
            f"{error}); {_HOW}"
        ) from error
    if not isinstance(fields, Mapping):
        raise ConfigError(
            f"a batch must be a dict with 'labels' and 'index' for attention accumulation, got "
            f"{_described(fields)}; {_HOW}"
        )
    missing = [name for name in ("labels", "index") if fields.get(name) is None]
    if missing:
        raise ConfigError(
            f"a batch needs {' and '.join(map(repr, missing))} for attention accumulation, got "
            f"{_described(fields)}. 'labels' (B, C) tells which classes an image has, 'index' "
            "(B,) its place in the data set: let your data set return it (for example from "
            f"__getitem__(self, index)); or {_HOW}"
        )
    known = ("labels", "index", "view", "repeat")
    return {name: _tensor(name, fields[name]) for name in known if fields.get(name) is not None}


def _tensor(name: str, value: Any) -> Tensor:
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"a batch's {name!r} must be numbers, got {_described(value)} ({error}); {_HOW}"
        ) from error


def _described(value: Any) -> str:
    """The type of a value and what it holds, in a few words."""
    if isinstance(value, Tensor):
        return f"Tensor {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"{type(value).__name__} with {sorted(map(str, value))}"
    if isinstance(value, list | tuple):
        held = ", ".join(map(_described, value[:4])) + ", ..." * (len(value) > 4)
        return f"{type(value).__name__} of {len(value)} ({held})"
    return type(value).__name__
