"""The layers behind a classifier's pooling, applied to every cell instead.

Source: Zhou et al., "Learning deep features for discriminative localization", CVPR 2016, Eq. (2):
a linear layer behind a mean is the mean of that layer over the cells. A head f that is not linear
is replaced by its tangent at the pooled vector z, f(z) + J(z) (x - z): its mean over the cells x is
f(z) as well, since the mean of the x is z.

Shapes: B images, N cells, D features, C classes.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from torch import Tensor, nn, ones, rsqrt
from torch.func import jvp, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from oaa_pl.nets.probe import evaluating

__all__ = ["Step", "flat", "is_nothing", "score_each", "score_tangent"]

Function = Callable[[Tensor], Tensor]

# These leave a vector as it is. So does dropout, on average: the maps are computed without it, and
# without drawing random numbers, so that computing a map does not change the training.
_NOTHING = (nn.Identity, nn.Flatten, nn.AdaptiveAvgPool2d, _DropoutNd)

# Norms with statistics of their own for every vector. The pooled vector's are used for its cells:
# the norm is linear then, and a cell with stronger features keeps its higher score.
_OWN_STATISTICS = (nn.LayerNorm,)


@dataclass(frozen=True, slots=True)
class Step:
    """A layer of the head.

    Attributes:
        module: the layer; None: a ReLU that the network's forward applies itself.
        shape: of one vector as the layer takes it: (D,), or (D, 1, 1) for a convolution.
    """

    module: nn.Module | None
    shape: tuple[int, ...] = ()


def flat(value: Tensor) -> Tensor:
    """One vector an image: any shape (B, ...) to (B, D)."""
    return value.flatten(1) if value.ndim > 1 else value


def is_nothing(module: nn.Module) -> bool:
    """Whether a layer of a head leaves a vector as it is, dropout apart."""
    return isinstance(module, _NOTHING)


def score_tangent(
    head: Sequence[Step], pooled: Tensor, cells: Callable[[Tensor], Tensor], places: Tensor
) -> Tensor:
    """Scores of cells by the head's tangent at the pooled vector; exact where it is linear.

    Args:
        head: the layers in order.
        pooled: the mean of the cells, (B, D).
        cells: maps one of `places` to the cell's vectors (B, D).
        places: one for each cell, (N, ...).

    Returns:
        Scores (N, B, C), whose mean over N is the head's score of `pooled`. Gradients flow to the
        features and to the head.
    """
    _load_jvp()
    functions, value = [], pooled
    for step in head:
        functions.append(_function(step, value))
        value = functions[-1](value)

    def whole(vector: Tensor) -> Tensor:
        for function in functions:
            vector = function(vector)
        return vector

    def change(place: Tensor) -> Tensor:
        tangent = (cells(place) - pooled).to(pooled.dtype)
        return jvp(whole, (pooled,), (tangent,))[1]  # type: ignore[no-any-return]

    # In chunks: behind VGG-16's seven by seven places, a cell's vector has 25,088 features.
    chunk = max(1, _CHUNK // pooled.numel())
    changes: Tensor = vmap(change, chunk_size=chunk)(places)
    return value + changes


@cache
def _load_jvp() -> None:
    """Load torch's rules for `jvp` without the warning of torch's own way to make them (2.14)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script", FutureWarning)
        jvp(Tensor.exp, (ones(1),), (ones(1),))


_CHUNK = 2**25  # values at once, 128 MiB in float32


def score_each(head: Sequence[Step], pooled: Tensor, vectors: Tensor) -> Tensor:
    """Scores of vectors by the head itself, each for itself.

    Args:
        head: the layers in order.
        pooled: the vector whose batch statistics a batch norm uses in training, (B, D).
        vectors: (N, B, D).

    Returns:
        Scores (N, B, C).
    """
    rows = vectors.flatten(0, 1)
    for step in head:
        if isinstance(step.module, _OWN_STATISTICS):
            function, pooled_function = _function(step, rows), _function(step, pooled)
        else:
            function = pooled_function = _function(step, pooled)
        rows, pooled = function(rows), pooled_function(pooled)
    return rows.view(*vectors.shape[:2], -1)


def _function(step: Step, pooled: Tensor) -> Function:
    """A step on vectors (B, D), its statistics fixed to the ones of `pooled`."""
    module = step.module
    if module is None:
        return Tensor.relu
    if is_nothing(module):
        return _same
    if isinstance(module, _BatchNorm):
        if module.training or module.running_mean is None or module.running_var is None:
            mean, var = pooled.mean(0), pooled.var(0, unbiased=False)
        else:
            mean, var = module.running_mean, module.running_var
        return _normalised(module, mean, var)
    if isinstance(module, nn.LayerNorm):
        values = pooled.float() if pooled.dtype.itemsize < 4 else pooled
        mean, var = values.mean(1, keepdim=True), values.var(1, keepdim=True, unbiased=False)
        return _normalised(module, mean, var)
    return _called(module, step.shape)


def _same(vector: Tensor) -> Tensor:
    return vector


def _normalised(module: _BatchNorm | nn.LayerNorm, mean: Tensor, var: Tensor) -> Function:
    scale, weight, bias = rsqrt(var + module.eps), module.weight, module.bias
    activation = getattr(module, "act", None)  # timm puts one into its norms

    def normalise(vector: Tensor) -> Tensor:
        vector = (vector - mean) * scale
        if weight is not None:
            vector = vector * weight.flatten()
        if bias is not None:
            vector = vector + bias.flatten()
        return vector if activation is None else _called(activation, vector.shape[1:])(vector)

    return normalise


def _called(module: nn.Module, shape: tuple[int, ...]) -> Function:
    def call(vector: Tensor) -> Tensor:
        # A copy, as the module may work in place.
        with evaluating(module):
            output: Tensor = module(vector.reshape(vector.shape[0], *shape).clone())
        return flat(output)

    return call
