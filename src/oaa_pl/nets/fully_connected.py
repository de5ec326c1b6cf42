"""VGG-16's fully connected layers fc6 and fc7 as the convolutions of DeepLab-LargeFOV.

Source: Chen et al., "Semantic image segmentation with deep convolutional nets and fully connected
CRFs", ICLR 2015, sections 3.1 and 4.2: fc6 is decimated from 7 x 7 to 3 x 3 places, fc6 and fc7
from 4096 to 1024 channels.

Shapes: torchvision's names and shapes, `classifier.0` (4096, 512 * 7 * 7) and `classifier.3`
(4096, 4096), to fc6 (hidden, 512, 3, 3) and fc7 (hidden, hidden, 1, 1).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["NAMES", "decimate", "why_unfit"]

NAMES = ("classifier.0.weight", "classifier.0.bias", "classifier.3.weight", "classifier.3.bias")
"""Weights and biases of fc6 and fc7, as torchvision names them."""

_SIDE = 7
# Three of seven positions, evenly spread. At stride 8 and dilation 12 the kernel sees the same
# pixels as these positions at stride 32.
_PLACES = (0, 3, 6)


def why_unfit(state: Mapping[str, Tensor], channels: int, hidden: int) -> str:
    """Why fc6 and fc7 cannot start from these weights; empty if they can.

    Args:
        state: name to tensor; only the four of `NAMES` are used, with shapes (N, channels * 49),
            (N,), (N, N) and (N,).
        channels: of the trunk's features.
        hidden: channels of fc6 and fc7.

    Returns:
        Half a sentence, to follow "of the weights".
    """
    missing = [name for name in NAMES if name not in state]
    if missing:
        return f"{missing[0]} is missing"
    width = state[NAMES[1]].numel()
    expected = ((width, channels * _SIDE**2), (width,), (width, width), (width,))
    for name, shape in zip(NAMES, expected, strict=True):
        if tuple(state[name].shape) != shape:
            return f"{name} is {tuple(state[name].shape)}, not {shape}"
        if not bool(torch.isfinite(state[name]).all()):
            return f"{name} is not finite"
    if hidden > width:
        return f"{NAMES[1]} has {width} channels, fewer than the expected {hidden}"
    return ""


def decimate(state: Mapping[str, Tensor], hidden: int) -> tuple[dict[str, Tensor], ...]:
    """Keep some positions of fc6, and `hidden` evenly spread channels of fc6 and fc7.

    fc7 keeps the inputs that belong to the kept channels of fc6, so every kept value keeps its
    meaning. Nothing is rescaled, as in DeepLab: fine-tuning compensates for the smaller sums.

    Args:
        state: weights that pass `why_unfit`, (N, channels * 49), (N,), (N, N), (N,).
        hidden: channels to keep.

    Returns:
        State of fc6, weight (hidden, channels, 3, 3) and bias (hidden,), and of fc7, weight
        (hidden, hidden, 1, 1) and bias (hidden,).
    """
    fc6, bias6, fc7, bias7 = (state[name] for name in NAMES)
    kept = torch.arange(hidden) * len(bias6) // hidden
    places = torch.tensor(_PLACES)
    # torchvision flattens features (channels, 7, 7) in this order.
    square = fc6.view(len(fc6), -1, _SIDE, _SIDE)[kept][:, :, places][:, :, :, places]
    return (
        {"weight": square, "bias": bias6[kept]},
        {"weight": fc7[kept][:, kept, None, None], "bias": bias7[kept]},
    )
