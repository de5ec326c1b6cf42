"""Optimiser and learning-rate schedules of the three stages.

Source: Jiang et al., ICCV 2019, section 4.1 (momentum SGD, step schedule); Chen et al.,
"DeepLab", TPAMI 2017 (poly schedule). The learning-rate groups are those of the Caffe models that
the paper builds on, biases twice as fast as weights: the release's attention networks train their
whole head ten times as fast as the trunk, DeepLab its last layer alone.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from oaa_pl.errors import ConfigError

__all__ = [
    "Rates",
    "constant_schedule",
    "parameter_groups",
    "poly_schedule",
    "sgd",
    "step_schedule",
]


class Rates(NamedTuple):
    """Learning-rate multipliers: of all slow parameters, then of the fast ones, the head's."""

    trunk_weight: float = 1.0
    trunk_bias: float = 2.0
    head_weight: float = 10.0
    head_bias: float = 20.0


_LAST = "last"  # the layers that a network names in `last_layers`


def parameter_groups(
    net: nn.Module,
    lr: float,
    weight_decay: float,
    rates: Rates,
    decay_biases: bool = True,
    fast: str | Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Split a network's trainable parameters into slow and fast, weights and biases.

    Args:
        net: a network with a submodule `trunk`.
        lr: base learning rate.
        weight_decay: L2 penalty.
        rates: multipliers of `lr`; the last two are those of the fast layers.
        decay_biases: whether biases are decayed too (the Caffe release decays none).
        fast: names of the fast layers; `last`: the network's `last_layers`; None: all outside
            `trunk`.

    Returns:
        One dict per group that is not empty, with a `name` for the learning-rate log: `trunk_*`,
        `head_*` (the fast layers) and `middle_*` (slow, but outside the trunk).

    Raises:
        ConfigError: if a fast layer has no parameters, or it is `last` and the network has no
            `last_layers`.
    """
    layers = _fast_layers(net, fast)
    found: dict[str, list[Tensor]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            in_trunk = _inside(name, "trunk")
            is_fast = not in_trunk if layers is None else any(_inside(name, at) for at in layers)
            part = "head" if is_fast else "trunk" if in_trunk else "middle"
            kind = "bias" if name.endswith("bias") else "weight"
            found.setdefault(f"{part}_{kind}", []).append(parameter)
    return [
        {
            "name": group,
            "params": parameters,
            "lr": lr * getattr(rates, group.replace("middle", "trunk")),
            "weight_decay": weight_decay if decay_biases or group.endswith("weight") else 0.0,
        }
        for group, parameters in sorted(found.items())
    ]


def _fast_layers(net: nn.Module, fast: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if fast is None:
        return None
    if fast == _LAST:
        layers = getattr(net, "last_layers", None)
        if layers is None:
            raise ConfigError(
                f"fast=last needs a network that names its last layers, got {type(net).__name__} "
                "without `last_layers`; set that attribute to a tuple of their names, give the "
                "names as fast=[...], or say fast=null for all outside the trunk"
            )
    else:
        layers = [fast] if isinstance(fast, str) else fast
    known = [name for name, _ in net.named_parameters()]
    for layer in layers:
        if not any(_inside(name, layer) for name in known):
            own = sorted({name.rpartition(".")[0] for name in known if not _inside(name, "trunk")})
            raise ConfigError(
                f"fast must name layers of {type(net).__name__} with parameters, got {layer!r}; "
                f"outside the trunk it has {', '.join(own)}"
            )
    return tuple(layers)


def _inside(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f"{layer}.")


def sgd(
    net: nn.Module,
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    rates: Sequence[float] = Rates(),
    decay_biases: bool = True,
    nesterov: bool = False,
    fast: str | Sequence[str] | None = None,
) -> Optimizer:
    """Momentum SGD with learning rates by layer.

    Args:
        net: a network with a submodule `trunk`.
        lr: base learning rate, above 0.
        momentum: in [0, 1).
        weight_decay: L2 penalty, 0 or more.
        rates: multipliers of slow weights, slow biases, fast weights, fast biases.
        decay_biases: whether biases are decayed too.
        nesterov: Nesterov's momentum (the PyTorch release's choice).
        fast: which layers are fast; see `parameter_groups`.

    Raises:
        ConfigError: if `rates` has not four values, `lr` is not positive, or `fast` names no layer.
    """
    if len(rates) != 4 or lr <= 0:
        raise ConfigError(
            f"sgd needs lr above 0 and four rates (trunk weight, bias, head weight, bias); "
            f"got lr={lr} and rates={list(rates)}"
        )
    groups = parameter_groups(net, lr, weight_decay, Rates(*rates), decay_biases, fast)
    return SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov)


def step_schedule(
    optimizer: Optimizer, steps: int, at: Sequence[float], factor: float = 0.1, warmup: int = 0
) -> LambdaLR:
    """Multiply the rate by `factor` at each of the given shares of the training.

    Args:
        optimizer: whose rates to schedule.
        steps: optimiser steps of the whole training.
        at: shares of the training in (0, 1], ascending; the paper's is 2/3.
        factor: multiplier at each of them.
        warmup: first steps over which the rate rises linearly; the paper has none.
    """
    edges = [round(share * steps) for share in at]

    def rate(step: int) -> float:
        return _rise(step, warmup) * factor ** sum(step >= edge for edge in edges)

    return LambdaLR(optimizer, rate)


def poly_schedule(
    optimizer: Optimizer, steps: int, power: float = 0.9, warmup: int = 0
) -> LambdaLR:
    """The rate falls as (1 - step / steps) ** power, DeepLab's schedule.

    Args:
        optimizer: whose rates to schedule.
        steps: optimiser steps of the whole training.
        power: exponent, above 0.
        warmup: first steps over which the rate rises linearly.
    """

    def rate(step: int) -> float:
        return _rise(step, warmup) * math.pow(max(0.0, 1 - step / max(1, steps)), power)

    return LambdaLR(optimizer, rate)


def constant_schedule(optimizer: Optimizer, steps: int) -> LambdaLR:
    """The rate never changes; `steps` is accepted so that schedules are interchangeable."""
    del steps
    return LambdaLR(optimizer, lambda _: 1.0)


def _rise(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / (warmup + 1))
