"""Following a vector through the layers of one run of a network, by its values.

Shapes: B images, D features, C classes.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from oaa_pl.nets.cell_head import Step, flat, is_nothing
from oaa_pl.nets.probe import Call

__all__ = ["Trail", "close", "is_vector", "sides"]


class Trail:
    """The calls behind a spatial output, and the scores that they should lead to.

    Args:
        calls: in order; the ones that return one vector per image are layers of a head.
        logits: the network's scores, (B, C).
    """

    def __init__(self, calls: Sequence[Call], logits: Tensor) -> None:
        self.logits, self.pools = logits, _pools(calls)
        layers = [c for c in calls if is_vector(c.output) and not is_nothing(c.module)]
        # Layers before the modules that they are part of: a norm has a rule of its own.
        layers.sort(key=lambda call: len(list(call.module.children())))
        self._layers = layers

    def heads(
        self, value: Tensor, seen: frozenset[str] = frozenset()
    ) -> Iterator[tuple[tuple[Step, ...], Tensor]]:
        """Chains of layers that a vector (B, D) goes through, each with what comes out of it."""
        yield (), value
        for relu in (False, True):
            given = value.relu() if relu else value
            if relu and close(given, value):
                return
            for call in self._layers:
                if call.name in seen or not close(flat(call.input), given):
                    continue
                step = Step(call.module, tuple(call.input.shape[1:]))
                for rest, end in self.heads(flat(call.output), seen | {call.name}):
                    yield (*([Step(None)] if relu else []), step, *rest), end

    def to_scores(self, value: Tensor) -> tuple[Step, ...] | None:
        """The chain from a vector (B, D) to the scores, if there is one."""
        ends = (steps for steps, end in self.heads(value) if close(end, self.logits))
        return next(ends, None)


def is_vector(output: Tensor) -> bool:
    """Whether there is one vector per image, whatever its axes.

    Args:
        output: of a layer, any shape (B, ...).
    """
    return output.ndim > 1 and output.shape[1:].numel() == max(output.shape[1:])


def close(value: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal up to the rounding of their type.

    Args:
        value: any shape.
        other: any shape; unlike shapes are not equal.
    """
    if value.shape != other.shape or value.dtype != other.dtype:
        return False
    tolerance = min(0.02, 1000 * torch.finfo(value.dtype).eps) if value.is_floating_point() else 0
    scale = other.abs().max()
    return bool((value - other).abs().max() <= tolerance * scale)


def sides(grid: Tensor) -> tuple[int, int]:
    """Cells of a grid (B, D, h, w): h and w."""
    return grid.shape[2], grid.shape[3]


def _pools(calls: Sequence[Call]) -> list[tuple[str, tuple[int, int]]]:
    """Grids that later pooling layers bring any size to, as VGG-16's seven by seven places."""
    found = (c.output for c in calls if isinstance(c.module, nn.AdaptiveAvgPool2d))
    return [("pool", sides(output)) for output in found if output[0, 0].numel() > 1]
