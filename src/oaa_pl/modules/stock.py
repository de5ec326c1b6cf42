"""Call PyTorch's own optimisers and schedules, which take other arguments than ours.

Ours make an optimiser from a network and a schedule from an optimiser and a number of steps.
PyTorch's classes take parameters, and name that number in several ways, or do not take it.
"""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, PolynomialLR, ReduceLROnPlateau

from oaa_pl.errors import ConfigError

__all__ = ["OptimizerFactory", "ScheduleFactory", "make_optimizer", "make_schedule", "missing"]

OptimizerFactory = Callable[[nn.Module], Optimizer]
ScheduleFactory = Callable[[Optimizer, int], LRScheduler]


def make_optimizer(factory: Callable[..., Optimizer], net: nn.Module) -> Optimizer:
    """An optimiser of a network's trainable parameters.

    Args:
        factory: takes a network, or is a class of `torch.optim`, which takes its parameters and
            gives them all one learning rate.
        net: the network.
    """
    if _is_class(factory, Optimizer):
        return factory([one for one in net.parameters() if one.requires_grad])
    return factory(net)


def make_schedule(
    factory: Callable[..., LRScheduler], optimizer: Optimizer, steps: int
) -> LRScheduler:
    """A schedule that is stepped after each step of the optimiser.

    Args:
        factory: takes the optimiser and the number of steps, or is a class of
            `torch.optim.lr_scheduler`; of that, `T_max` and `total_steps`, and `total_iters` of
            `PolynomialLR`, are the number of steps where they are left out.
        optimizer: whose rates to schedule.
        steps: of the optimiser in the whole training.

    Raises:
        ConfigError: if the class needs a metric instead.
    """
    _require_stepped(factory)
    if not _is_class(factory, LRScheduler):
        return factory(optimizer, steps)
    return factory(optimizer, **_length(factory, steps))


def missing(factory: Callable[..., Any], *, schedule: bool) -> list[str]:
    """Arguments that a factory needs and that are not given, so that it would fail in training.

    Args:
        factory: of a schedule or of an optimiser, as above.
        schedule: which of them.

    Raises:
        ConfigError: if it is a schedule that needs a metric.
    """
    given = dict(getattr(factory, "keywords", {}))
    ours = 1
    if schedule:
        _require_stepped(factory)
        ours += not _is_class(factory, LRScheduler)
        given |= _length(factory, 1) if ours == 1 else {}
    needed = [
        one.name
        for one in inspect.signature(_behind(factory)).parameters.values()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    return [name for name in needed[ours:] if name not in given]


def _require_stepped(factory: Callable[..., Any]) -> None:
    if _is_class(factory, ReduceLROnPlateau):
        raise ConfigError(
            "ReduceLROnPlateau waits for a metric, but a stage's schedule is stepped after each "
            "step of the optimiser; say another, such as torch.optim.lr_scheduler.CosineAnnealingLR"
        )


def _length(factory: Callable[..., Any], steps: int) -> dict[str, int]:
    """What a class calls the length of the training, where the configuration leaves it out."""
    given = getattr(factory, "keywords", {})
    if given.get("epochs") is not None and given.get("steps_per_epoch") is not None:
        return {}
    known = inspect.signature(_behind(factory)).parameters
    # In other classes `total_iters` is the length of a warm-up, not of the training.
    names = ["T_max", "total_steps", *["total_iters"] * _is_class(factory, PolynomialLR)]
    return {name: steps for name in names if name in known and given.get(name) is None}


def _behind(factory: Callable[..., Any]) -> Callable[..., Any]:
    """The class or function behind a partial."""
    behind: Callable[..., Any] = getattr(factory, "func", factory)
    return behind


def _is_class(factory: Callable[..., Any], kind: type) -> bool:
    behind = _behind(factory)
    return isinstance(behind, type) and issubclass(behind, kind)
