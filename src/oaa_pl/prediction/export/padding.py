"""Padding and pooling with fixed numbers, for networks whose input is a multiple of cells.

timm computes this padding from the size of each layer's input. Exported with a free size, it
becomes arithmetic that takes the exporter minutes. A pool that rounds its size up becomes a
division that torch.export cannot save. At sides that are multiples of the network's stride, every
layer's padding is one and the same for all sizes, and there is nothing to round.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

__all__ = ["with_fixed_padding", "with_fixed_pooling"]


class _Padded(nn.Module):
    """A convolution after fixed padding: left, right, top, bottom."""

    def __init__(self, layer: nn.Conv2d, padding: tuple[int, ...]) -> None:
        super().__init__()
        self.layer, self.padding = layer, padding

    @override
    def forward(self, image: Tensor) -> Tensor:
        one = self.layer
        # Not `one(...)`, which computes the padding again.
        return F.conv2d(
            F.pad(image, self.padding),
            one.weight,
            one.bias,
            one.stride,
            0,
            one.dilation,
            one.groups,
        )


def with_fixed_padding(net: nn.Module, multiple: int) -> nn.Module:
    """Replace timm's convolutions with computed padding, where the padding is fixed.

    Args:
        net: in evaluation mode; changed in place.
        multiple: sides of its input will be multiples of it.

    Returns:
        The same network. A layer whose padding depends on the size is left as it is.
    """
    same = {
        name: layer for name, layer in net.named_modules() if type(layer).__name__ == "Conv2dSame"
    }
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


def with_fixed_pooling(net: nn.Module, multiple: int) -> nn.Module:
    """Let pools round down where their sizes need no rounding.

    Args:
        net: in evaluation mode; changed in place.
        multiple: sides of its input will be multiples of it.

    Returns:
        The same network. A pool whose size has to be rounded up is left as it is.
    """
    pools = [
        layer
        for layer in net.modules()
        if isinstance(layer, nn.AvgPool2d | nn.MaxPool2d) and layer.ceil_mode
    ]
    if not pools:
        return net
    least = -(-64 // multiple)
    seen = [_sides(net, pools, multiple * cells) for cells in (least, least + 1)]
    for layer in pools:
        sides = [side for one in seen if layer in one for side in enumerate(one[layer])]
        if sides and all(_whole(side, layer, axis) for axis, side in sides):
            layer.ceil_mode = False
    return net


def _whole(side: int, pool: nn.AvgPool2d | nn.MaxPool2d, axis: int) -> bool:
    """Whether a pool's windows end where its input ends, so that rounding up adds none."""
    reach, stride, padding = (
        one if isinstance(one, int) else one[axis]
        for one in (pool.kernel_size, pool.stride, pool.padding)
    )
    dilation = getattr(pool, "dilation", 1)
    dilation = dilation if isinstance(dilation, int) else dilation[axis]
    return (side + 2 * padding - dilation * (reach - 1) - 1) % stride == 0


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


def _both(side: int, layer: nn.Conv2d, axis: int) -> tuple[int, int]:
    """Padding before and after, as TensorFlow's SAME computes it."""
    stride, reach = layer.stride[axis], (layer.kernel_size[axis] - 1) * layer.dilation[axis] + 1
    total = max((-(-side // stride) - 1) * stride + reach - side, 0)
    return total // 2, total - total // 2
