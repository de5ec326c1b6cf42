"""TensorFlow's SAME padding with fixed numbers, for networks whose input is a multiple of cells.

timm computes this padding from the size of each layer's input, of convolutions and of pools.
Exported with a free size, it becomes arithmetic that takes the ONNX exporter minutes, and that
torch.export cannot save. At sides that are multiples of the network's stride, every layer's padding
is one and the same for all sizes.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

__all__ = ["with_fixed_padding"]


# timm's layers with computed padding: PyTorch's own layer behind each, and what is padded.
_SAME: dict[str, tuple[Any, float]] = {
    "Conv2dSame": (nn.Conv2d, 0.0),
    "AvgPool2dSame": (nn.AvgPool2d, 0.0),
    "MaxPool2dSame": (nn.MaxPool2d, -math.inf),
}


class _Padded(nn.Module):
    """A layer after fixed padding: left, right, top, bottom."""

    def __init__(self, layer: nn.Module, padding: tuple[int, ...]) -> None:
        super().__init__()
        self.layer, self.padding = layer, padding

    @override
    def forward(self, image: Tensor) -> Tensor:
        plain, value = _SAME[type(self.layer).__name__]
        # Not `self.layer(...)`, which computes the padding again.
        found: Tensor = plain.forward(self.layer, F.pad(image, self.padding, value=value))
        return found


def with_fixed_padding(net: nn.Module, multiple: int) -> nn.Module:
    """Replace timm's layers with computed padding, where the padding is fixed.

    Args:
        net: in evaluation mode; changed in place.
        multiple: sides of its input will be multiples of it.

    Returns:
        The same network. A layer whose padding depends on the size is left as it is.
    """
    same = {name: layer for name, layer in net.named_modules() if type(layer).__name__ in _SAME}
    if not same:
        return net
    least = -(-64 // multiple)
    # Two sides in cells, one of them odd: padding that is equal for both is equal for all.
    odd = least + 1 - least % 2
    seen = [_sides(net, same.values(), multiple * cells) for cells in (odd, odd + 1)]
    for name, layer in same.items():
        padding = {
            (*_both(width, layer, axis=1), *_both(height, layer, axis=0))
            for height, width in (sides[layer] for sides in seen)
        }
        if len(padding) == 1:
            parent, _, own = name.rpartition(".")
            setattr(net.get_submodule(parent), own, _Padded(layer, padding.pop()))
    return net


def _sides(
    net: nn.Module, layers: Iterable[nn.Module], side: int
) -> dict[nn.Module, tuple[int, int]]:
    """Height and width of what each layer gets for a square image."""
    found: dict[nn.Module, tuple[int, int]] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[layer] = (inputs[0].shape[2], inputs[0].shape[3])

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        with torch.no_grad():
            net(torch.zeros(1, 3, side, side))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _both(side: int, layer: Any, axis: int) -> tuple[int, int]:
    """Padding before and after, as TensorFlow's SAME computes it."""
    stride, kernel, dilation = (
        value[axis] if isinstance(value, tuple) else value
        for value in (layer.stride, layer.kernel_size, getattr(layer, "dilation", 1))
    )
    reach = (kernel - 1) * dilation + 1
    total = max((-(-side // stride) - 1) * stride + reach - side, 0)
    return total // 2, total - total // 2
