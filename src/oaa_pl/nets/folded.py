"""Fold batch norms into the convolutions before them: fewer passes over memory, the same answers.

A batch norm in evaluation mode multiplies and adds by constants, which the convolution before it
can do as well. Which convolution that is, a run on noise shows: networks may be of any code.

Source: Jacob et al., "Quantization and Training of Neural Networks", CVPR 2018, section 3.2, Eq.
(14), for the arithmetic; torch's `fuse_conv_bn_weights` does it.

Shapes: B images of H x W pixels, C maps of h x w cells.
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from oaa_pl.errors import UnfitNetworkError
from oaa_pl.nets.probe import record_calls

__all__ = ["folded"]

_SIDE = 64  # pixels of the side of the noise
_ROUNDING = 1e-3  # of the largest answer: a wrong fold is off by far more


@torch.no_grad()
def folded(net: nn.Module) -> nn.Module:
    """A copy of a network for inference, with its batch norms folded where that changes nothing.

    A norm stays as it is if no convolution is found before it, if it or the convolution runs more
    than once, or if they share parameters. The whole network stays if it does not run on noise, or
    if its answer to it changes by more than rounding does.

    Args:
        net: images (B, 3, H, W) to maps (B, C, h, w), in evaluation mode.

    Returns:
        The copy, or the network itself if nothing can be folded.
    """
    if not any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules()):
        return net
    like = next(net.parameters())
    noise = torch.randn(2, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    noise = noise.to(like.device, like.dtype)
    try:
        calls, before = record_calls(net, noise)
    except UnfitNetworkError:
        return net
    convolutions = [call for call in calls if isinstance(call.module, nn.Conv2d)]
    copy, shared = deepcopy(net), _shared(net)
    for call in calls:
        rest = _without_norm(call.module)
        if rest is None or shared & {*call.module.parameters()}:
            continue
        for convolution in convolutions:
            same = convolution.output.shape == call.input.shape and torch.equal(
                convolution.output, call.input
            )
            if same and not shared & {*convolution.module.parameters()}:
                _fold(copy, convolution.name, call.name, rest)
                break
    after = record_calls(copy, noise)[1]
    unchanged = torch.allclose(before, after, rtol=0, atol=_ROUNDING * float(before.abs().max()))
    return copy.train(net.training) if unchanged else net


def _shared(net: nn.Module) -> set[Tensor]:
    """Parameters that more than one module has."""
    seen: set[Tensor] = set()
    twice: set[Tensor] = set()
    for layer in net.modules():
        for parameter in layer.parameters(recurse=False):
            (twice if parameter in seen else seen).add(parameter)
    return twice


def _without_norm(layer: nn.Module) -> nn.Module | None:
    """What a batch norm does beside the norm; None: it cannot be folded."""
    if type(layer) is nn.BatchNorm2d and layer.track_running_stats:
        return nn.Identity()
    # timm's includes an activation, and a dropout that does nothing in evaluation mode.
    own = getattr(layer, "act", None)
    if type(layer).__name__ == "BatchNormAct2d" and isinstance(layer, nn.BatchNorm2d):
        return deepcopy(own) if isinstance(own, nn.Module) else None
    return None


def _fold(net: nn.Module, convolution: str, norm: str, rest: nn.Module) -> None:
    conv: Any = net.get_submodule(convolution)
    old: Any = net.get_submodule(norm)
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, old.running_mean, old.running_var, old.eps, old.weight, old.bias
    )
    net.set_submodule(norm, rest)
