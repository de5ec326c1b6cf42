"""Attention fusion AF: how a new attention map joins the cumulative map.

Source: Jiang et al., ICCV 2019, section 3.2, Eqs. (3)-(5) and (10). The printed Eq. (10) lost its
brackets: it is M_t = ((t - 1) M_{t-1} + A_t) / t.

A fusion is a triple of pure functions over the *state* that a store keeps per map. The maximum
keeps the map itself. The mean keeps a sum and a count per cell, so that a cell which a crop did
not show is not averaged with a zero. Both are exact in any order: what one process, four processes
or two machines accumulate of the same maps is the same to the last bit. Rules that the paper does
not have: `attention.fusion_beyond_paper`.

Shapes: K maps of h x w cells. `inside` is true for the cells that the training view showed.
"""

import re
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from oaa_pl.errors import ConfigError

__all__ = ["FUSIONS", "Fusion", "Maximum", "RunningMean", "fusion_named"]

Maps = NDArray[np.float32]
Inside = NDArray[np.bool_]
Rows = NDArray[np.int64]

_CELLS = 1 << 18  # that an update works on at a time

FUSIONS: dict[str, type["Fusion"]] = {}
"""Every rule by its name: each subclass of `Fusion` that was imported."""


def _path(rule: type) -> str:
    return f"{rule.__module__}.{rule.__qualname__}"


class Fusion(ABC):
    """One rule AF(M, A), over planes of state: (K, planes, h, w).

    Attributes:
        name: the word used in configuration and in the store's header.
        parameters: names of the numbers that the constructor takes and keeps as attributes.
        in_order: whether a later map counts differently from an earlier one. Two states of the
            same map are then merged only where it is known which one is the later.
        planes: arrays of h x w cells kept per map.
        dtype: of the state.
    """

    name: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]] = ()
    in_order: ClassVar[bool] = False
    planes: int
    dtype: np.dtype[np.generic]

    @override
    def __init_subclass__(cls) -> None:
        """Make a rule known by its name, so that stores can be opened.

        Raises:
            ConfigError: if another rule has the name.
        """
        super().__init_subclass__()
        if "update" in vars(cls) and "update_rows" not in vars(cls):
            # An inherited shortcut is one of another rule.
            cls.update_rows = Fusion.update_rows  # type: ignore[method-assign]
        known = FUSIONS.get(cls.name)
        if known is not None and _path(known) != _path(cls):
            raise ConfigError(
                f"fusion {_path(cls)} is named {cls.name!r}, as {_path(known)} is; give it "
                "another name"
            )
        FUSIONS[cls.name] = cls

    @property
    def label(self) -> str:
        """The name with its parameters, as a store's header has it: `power_mean(exponent=3)`."""
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.parameters)
        return f"{self.name}({values})" if values else self.name

    @abstractmethod
    def update(self, state: np.ndarray, attention: Maps, inside: Inside) -> np.ndarray:
        """State after fusing one attention map into each cumulative map, Eqs. (3)-(4).

        Args:
            state: (K, planes, h, w), zero where nothing was fused yet.
            attention: in [0, 1], (K, h, w).
            inside: cells to fuse; the others keep their state, (K, h, w).

        Returns:
            New state, (K, planes, h, w); the arguments are left alone.
        """

    def update_rows(
        self, state: np.ndarray, rows: Rows, attention: Maps, inside: Inside | None
    ) -> None:
        """Fuse maps into some rows of a store's state, in place: `update`, without its copies.

        A rule overrides it where it can be faster. The outcome must be that of `update`.

        Args:
            state: of all R rows, (R, planes, h, w).
            rows: the row of each map, 0..R-1, none twice, (K,).
            attention: in [0, 1], (K, h, w).
            inside: cells to fuse; the others keep their state, (K, h, w). All cells if None.
        """
        shown = np.ones(attention.shape, bool) if inside is None else inside
        state[rows] = self.update(state[rows], attention, shown)

    @abstractmethod
    def merge(self, state: np.ndarray, other: np.ndarray) -> np.ndarray:
        """State of two shards accumulated apart: (..., planes, h, w) each.

        Both may be swapped, unless the rule is `in_order`: then all maps of `other` came later.
        """

    @abstractmethod
    def cumulative(self, state: np.ndarray) -> Maps:
        """Cumulative attention M in [0, 1] of a state: (K, planes, h, w) -> (K, h, w)."""


class Maximum(Fusion):
    """M_t = max(M_{t-1}, A_t), Eq. (5). Exact in float16: a maximum never rounds twice."""

    name = "maximum"
    planes = 1
    dtype = np.dtype(np.float16)

    @override
    def update(self, state: np.ndarray, attention: Maps, inside: Inside) -> np.ndarray:
        fresh = np.where(inside, attention, 0).astype(self.dtype)
        fused: np.ndarray = np.maximum(state, fresh[:, None])
        return fused

    @override
    def update_rows(
        self, state: np.ndarray, rows: Rows, attention: Maps, inside: Inside | None
    ) -> None:
        # NumPy computes with float16 cell by cell. Numbers that are not negative have the order of
        # their bits, which whole numbers compare many at a time; -0 has the smallest bits of all.
        bits = state.view(np.int16)
        # A part of the rows at a time, in memory that stays in the cache: new memory for all of a
        # large batch would cost a page fault for each 4 KiB, which takes longer than the work.
        step = max(1, min(len(rows), _CELLS // max(1, bits[:1].size)))
        half, fused = np.empty((2, step, *bits.shape[1:]), np.int16)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            at = rows[part]
            fresh, kept = half[: len(at)], fused[: len(at)]
            _to_half(attention[part], fresh[:, 0].view(np.float16))
            if inside is not None and not inside[part].all():
                fresh *= inside[part, None]
            bits.take(at, axis=0, out=kept, mode="clip")  # "raise" would take a copy more
            np.maximum(kept, fresh, out=kept)
            bits[at] = kept

    @override
    def merge(self, state: np.ndarray, other: np.ndarray) -> np.ndarray:
        fused: np.ndarray = np.maximum(state, other)
        return fused

    @override
    def cumulative(self, state: np.ndarray) -> Maps:
        return state[:, 0].astype(np.float32)


class RunningMean(Fusion):
    """M_t = ((t - 1) M_{t-1} + A_t) / t, Eq. (10), as a sum and a count per cell.

    The sum is in fixed point, since sums of floats depend on their order; up to 65,535 updates.
    """

    name = "running_mean"
    planes = 2
    dtype = np.dtype(np.uint32)
    steps = 1 << 16  # of an attention from 0 to 1

    @override
    def update(self, state: np.ndarray, attention: Maps, inside: Inside) -> np.ndarray:
        steps = np.rint(np.where(inside, attention, 0) * self.steps).astype(self.dtype)
        fused: np.ndarray = state + np.stack([steps, inside.astype(self.dtype)], axis=1)
        return fused

    @override
    def merge(self, state: np.ndarray, other: np.ndarray) -> np.ndarray:
        fused: np.ndarray = state + other
        return fused

    @override
    def cumulative(self, state: np.ndarray) -> Maps:
        count = np.maximum(state[:, 1], 1).astype(np.float64)
        mean: Maps = (state[:, 0] / (count * self.steps)).astype(np.float32)
        return mean


def fusion_named(label: str) -> Fusion:
    """The rule that a label names.

    Args:
        label: a key of `FUSIONS`, with the rule's parameters if it has some.

    Raises:
        ConfigError: if there is no such rule, or its parameters are missing or out of range.

    Examples:
        >>> fusion_named("maximum").label
        'maximum'
    """
    found = re.fullmatch(r"(\w+)(?:\((.*)\))?", label)
    rule = FUSIONS.get(found[1]) if found else None
    if found is None or rule is None:
        raise ConfigError(f"fusion must be one of {', '.join(map(_form, FUSIONS))}, got {label!r}")
    try:
        pairs = (one.split("=") for one in (found[2] or "").split(",") if one.strip())
        values = {name.strip(): float(value) for name, value in pairs}
        if values.keys() != {*rule.parameters}:
            raise ValueError
    except ValueError:
        raise ConfigError(f"fusion must be written {_form(rule.name)}, got {label!r}") from None
    return rule(**values)


def _form(name: str) -> str:
    """How a rule is written, with a place for each parameter."""
    values = ", ".join(f"{one}=NUMBER" for one in FUSIONS[name].parameters)
    return f"{name}({values})" if values else name


def _to_half(attention: Maps, half: NDArray[np.float16]) -> None:
    """Round attention to the nearest float16, into an array of that type.

    Torch has the processor's own instruction for it, NumPy has not: 3 against 95 microseconds for
    64 maps of 32 x 32 cells.
    """
    flags = attention.flags
    if attention.dtype != np.float32 or not (flags.c_contiguous and flags.writeable):
        half[...] = attention  # torch cannot share such memory, or warns of it
        return
    import torch  # here, because a store is also read where torch is not

    torch.from_numpy(half).copy_(torch.from_numpy(attention))
