"""Fusions that the paper does not have: noisy-or, power mean, exponential moving average.

Source: ours, with the meaning of `attention.fusion`. "Maximum from epoch k" needs no rule: it is
the maximum with `first_epoch=k`, which ignores the maps of all earlier epochs.

Noisy-or and power mean round each attention to 1/65,536 and look its term up in a table of whole
numbers. Sums of whole numbers are the same in any order and on any processor, to the last bit.

Shapes: K maps of h x w cells.
"""

from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from oaa_pl.attention.fusion import Fusion, Inside, Maps
from oaa_pl.errors import ConfigError

__all__ = ["ExponentialMean", "NoisyOr", "PowerMean"]

_LEVELS = 1 << 16  # of an attention from 0 to 1

# What is read is rounded to this. It hides the rounding of the state: one fused map is read back as
# it was.
_READ = 1 << 20


class NoisyOr(Fusion):
    """M_t = 1 - (1 - M_{t-1}) (1 - A_t): the probability that any of the maps is right.

    The state is the sum of -log(1 - A), at most 32, where M is 1. Exact in any order, for any
    number of updates. A cell that was 1 once stays 1.
    """

    name = "noisy_or"
    planes = 1
    dtype = np.dtype(np.uint32)
    steps = 1 << 26  # of the logarithm, from 0 to 1
    most = (1 << 31) - 1  # the sum of two still fits into 32 bits

    @override
    def update(self, state: np.ndarray, attention: Maps, inside: Inside) -> np.ndarray:
        terms = _surprise(self.steps, self.most)[_level(attention, inside)]
        return self.merge(state, terms.astype(self.dtype)[:, None])

    @override
    def merge(self, state: np.ndarray, other: np.ndarray) -> np.ndarray:
        fused: np.ndarray = np.minimum(state + other, self.dtype.type(self.most))
        return fused

    @override
    def cumulative(self, state: np.ndarray) -> Maps:
        return _read(-np.expm1(state[:, 0] / -float(self.steps)))


class PowerMean(Fusion):
    """M_t = (mean of A_1^p ... A_t^p)^(1/p), the generalised mean of exponent p.

    p = 1 is the running mean; a larger p is nearer to the maximum. The state is a sum and a count
    per cell, exact in any order, for up to 65,535 updates. One fused map is read back within
    0.00002; for p = 4 and more, only where it is above 0.0003 (p = 6: 0.007).

    Args:
        exponent: p, a whole number from 1 to 6: its table is exact, and beyond 6 too coarse.

    Raises:
        ConfigError: if the exponent is another number.
    """

    name = "power_mean"
    parameters: ClassVar[tuple[str, ...]] = ("exponent",)
    planes = 2
    dtype = np.dtype(np.uint64)
    steps = 1 << 48  # of a power from 0 to 1; 65,535 of them fit into 64 bits

    def __init__(self, exponent: float) -> None:
        if isinstance(exponent, bool) or exponent not in range(1, 7):
            raise ConfigError(
                f"exponent of a power mean must be a whole number from 1 to 6, got {exponent!r}"
            )
        self.exponent = int(exponent)

    @override
    def update(self, state: np.ndarray, attention: Maps, inside: Inside) -> np.ndarray:
        terms = _power(self.exponent, self.steps)[_level(attention, inside)]
        return self.merge(state, np.stack([terms, inside.astype(self.dtype)], axis=1))

    @override
    def merge(self, state: np.ndarray, other: np.ndarray) -> np.ndarray:
        fused: np.ndarray = state + other
        return fused

    @override
    def cumulative(self, state: np.ndarray) -> Maps:
        count = np.maximum(state[:, 1], 1).astype(np.float64)
        return _read((state[:, 0] / (count * self.steps)) ** (1 / self.exponent))


class ExponentialMean(Fusion):
    """Exponential moving average M_t = S_t / W_t, where the last maps count most.

    S_t = (1 - r) S_{t-1} + r A_t and W_t = (1 - r) W_{t-1} + r, both from 0, so the first map alone
    is M_1 = A_1, and map i of t has the weight r (1 - r)^(t - i) / W_t. t counts the accepted maps
    that showed the cell, not the epochs. Its order matters, and float32 rounds each update by at
    most 1e-7 of the value. Processes of one training merge exactly where, between two commits, each
    image is seen once; a pair that two processes saw in between is refused, and so is a pair that
    two machines accumulated apart.

    Args:
        rate: r, the weight of a new map, from 0.0001 to 1. 1 keeps the last map alone.

    Raises:
        ConfigError: if the rate is out of range.
    """

    name = "exponential_mean"
    parameters: ClassVar[tuple[str, ...]] = ("rate",)
    in_order = True
    planes = 2
    dtype = np.dtype(np.float32)

    def __init__(self, rate: float) -> None:
        given: object = rate  # from a user's YAML
        if not isinstance(given, int | float) or not 1e-4 <= given <= 1 or given is True:
            raise ConfigError(f"rate of an exponential mean must be from 0.0001 to 1, got {rate!r}")
        self.rate = float(rate)

    @override
    def update(self, state: np.ndarray, attention: Maps, inside: Inside) -> np.ndarray:
        rate = np.float32(self.rate)
        shown = inside.astype(self.dtype) * rate
        return self.merge(state, np.stack([shown * attention, shown], axis=1))

    @override
    def merge(self, state: np.ndarray, other: np.ndarray) -> np.ndarray:
        # 1 - W is (1 - r) to the power of the number of later maps.
        kept = 1 - other[..., 1:, :, :]
        fused: np.ndarray = state * kept + other
        return fused

    @override
    def cumulative(self, state: np.ndarray) -> Maps:
        weight = np.where(state[:, 1] > 0, state[:, 1], 1).astype(np.float64)
        return _read(state[:, 0] / weight)


def _level(attention: Maps, inside: Inside) -> NDArray[np.int64]:
    """Attention as a place in a table; 0 outside the view."""
    level: NDArray[np.int64] = np.rint(np.where(inside, attention, 0) * _LEVELS).astype(np.int64)
    return level


def _read(values: NDArray[np.float64]) -> Maps:
    cumulative: Maps = (np.rint(values * _READ) / _READ).clip(0, 1).astype(np.float32)
    return cumulative


@cache
def _surprise(steps: int, most: int) -> NDArray[np.uint32]:
    """-log(1 - A) of each level, in whole steps."""
    with np.errstate(divide="ignore"):  # of a full attention; it is cut off
        terms = -np.log1p(-np.arange(_LEVELS + 1) / _LEVELS) * steps
    table: NDArray[np.uint32] = np.rint(np.minimum(terms, most)).astype(np.uint32)
    return table


@cache
def _power(exponent: int, steps: int) -> NDArray[np.uint64]:
    """A to the power of the exponent of each level, in whole steps, in exact arithmetic."""
    whole = _LEVELS**exponent
    terms = ((level**exponent * steps + whole // 2) // whole for level in range(_LEVELS + 1))
    return np.fromiter(terms, np.uint64, _LEVELS + 1)
