"""Lightning's true precisions, for batches whose geometry must stay exact.

Lightning converts every float of a batch. A `view` in bfloat16 is wrong by 1/256 of the photo, and
the attention would be moved by as much. So only images are converted here.
"""

from typing import Any

import torch
from pytorch_lightning.plugins.precision import DoublePrecision, HalfPrecision, Precision
from typing_extensions import override

__all__ = ["true_precision"]


class _ImagesInHalf(HalfPrecision):
    @override
    def convert_input(self, data: Any) -> Any:
        return _with_images_in(data, self._desired_input_dtype)


class _ImagesInDouble(DoublePrecision):
    @override
    def convert_input(self, data: Any) -> Any:
        return _with_images_in(data, torch.float64)


def true_precision(name: str) -> Precision | None:
    """The plugin for a precision whose weights are not float32; None for all others.

    Args:
        name: Lightning's name of the precision.
    """
    if name in ("bf16-true", "16-true"):
        return _ImagesInHalf(name)  # type: ignore[arg-type]  # one of the two literals
    return _ImagesInDouble() if name == "64-true" else None


def _with_images_in(batch: Any, dtype: torch.dtype) -> Any:
    return {**batch, "image": batch["image"].to(dtype)}
