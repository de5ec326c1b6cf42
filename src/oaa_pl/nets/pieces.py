"""Finding where a classifier pools, and what it does behind, by looking at one run of it.

Nothing is known by its name: the last spatial output is sought whose mean over the cells (or whose
first token) is what the next layers were given, and those layers are followed to the scores.

Shapes: B images, N tokens, D features, C classes, h x w cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oaa_pl.errors import UnfitNetworkError
from oaa_pl.nets.cell_head import Step, flat, is_nothing
from oaa_pl.nets.probe import Call
from oaa_pl.nets.trail import Trail, close, is_vector, sides

__all__ = ["Pieces", "find_pieces"]

_MOST_PREFIX = 16  # tokens before the patches: class, distillation, registers


@dataclass(frozen=True, slots=True)
class Pieces:
    """Where a classifier's cells are, and what makes scores of them.

    Attributes:
        layer: name of the module whose output holds the cells.
        layout: `channels first` (B, D, h, w), `channels last` (B, h, w, D) or `tokens` (B, N, D).
        relu: whether a ReLU of the network's forward follows.
        heads: layers behind the pooling, by name and shape; the scores are the mean over several.
        side: of the grid of places that is pooled to, (1, 1) for a mean.
        fixed: whether the grid has these sides without pooling, so that no other size will do.
        prefix: number of tokens before the patches.
        patches: name of the convolution whose output has a cell for each patch token.
        by_token: whether the scores are those of the first `len(heads)` tokens, not of a mean.
    """

    layer: str
    layout: str
    heads: tuple[tuple[tuple[str | None, tuple[int, ...]], ...], ...]
    relu: bool = False
    side: tuple[int, int] = (1, 1)
    fixed: bool = False
    prefix: int = 0
    patches: str = ""
    by_token: bool = False

    def features(self, output: Tensor, patches: tuple[int, ...]) -> Tensor:
        """The cells' features.

        Args:
            output: what `layer` returned, in `layout`.
            patches: shape of what the layer `patches` returned, (B, D, h, w).

        Returns:
            (B, D, h, w).
        """
        if self.layout == "tokens":
            tokens = output[:, self.prefix :]
            output = tokens.transpose(1, 2).reshape(len(tokens), -1, *patches[2:])
        elif self.layout == "channels last":
            output = output.movedim(3, 1)
        return output.relu() if self.relu else output


def find_pieces(calls: Sequence[Call], logits: Tensor, network: str) -> Pieces:
    """The last spatial output from which pooling and a chain of layers lead to the scores.

    Args:
        calls: of one run in evaluation mode, in order.
        logits: scores of that run, (B, C).
        network: its name, for the error.

    Raises:
        UnfitNetworkError: if no output of the run fits.
    """
    names = {call.module: call.name for call in calls}
    spatial = [place for place, call in enumerate(calls) if _is_spatial(call.output)]
    for place in reversed(spatial):
        call = calls[place]
        if is_nothing(call.module) and not isinstance(call.module, nn.Identity):
            continue  # a pooled grid of its own: the cells before it are finer
        trail = Trail([c for c in calls[place + 1 :] if not _is_part(c, call)], logits)
        if call.output.ndim == 3:
            found = _of_tokens(call, calls[:place], trail, names)
        else:
            found = _of_cells(call, trail, names)
        if found is not None:
            return found
    raise UnfitNetworkError(_why_not(network, calls, spatial))


def _of_cells(call: Call, trail: Trail, names: dict[nn.Module, str]) -> Pieces | None:
    for layout, grid in (
        ("channels first", call.output),
        ("channels last", call.output.movedim(3, 1)),
    ):
        for relu in (False, True):
            features = grid.relu() if relu else grid
            pools = [("mean", (1, 1))]
            if layout == "channels first":
                pools += [*trail.pools, ("whole", sides(features))]
            for kind, side in pools:
                pooled = flat(F.adaptive_avg_pool2d(features, side))
                steps = trail.to_scores(pooled) if _varies(pooled) else None
                if steps is not None and (kind == "mean" or _takes_places(steps)):
                    heads = (_named(steps, names),)
                    return Pieces(call.name, layout, heads, relu, side, fixed=kind == "whole")
    return None


def _of_tokens(
    call: Call, before: Sequence[Call], trail: Trail, names: dict[nn.Module, str]
) -> Pieces | None:
    tokens = call.output
    for patches in reversed(before):
        if patches.output.ndim != 4 or not isinstance(patches.module, nn.Conv2d):
            continue
        prefix = tokens.shape[1] - patches.output.shape[2:].numel()
        if not 0 <= prefix <= _MOST_PREFIX:
            continue
        shared = {"prefix": prefix, "patches": patches.name}
        steps = trail.to_scores(tokens[:, prefix:].mean(1))
        if steps is not None:
            return Pieces(call.name, "tokens", (_named(steps, names),), **shared)  # type: ignore[arg-type]
        heads = _heads_of_tokens(tokens[:, :prefix], trail)
        if heads:
            named = tuple(_named(steps, names) for steps in heads)
            return Pieces(call.name, "tokens", named, by_token=True, **shared)  # type: ignore[arg-type]
    return None


def _heads_of_tokens(prefix: Tensor, trail: Trail) -> list[tuple[Step, ...]]:
    """A chain to the scores from the first token; or chains whose mean over the tokens is them."""
    chains: list[tuple[Step, ...]] = []
    total = torch.zeros_like(trail.logits)
    for token in prefix.unbind(1):
        if not chains and (steps := trail.to_scores(token)) is not None:
            return [steps]
        # DeiT's distillation token has a head of its own, and the two are averaged.
        ends = [
            (steps, end)
            for steps, end in trail.heads(token)
            if steps and end.shape == trail.logits.shape
        ]
        if not ends:
            return []
        chains.append(ends[0][0])
        total = total + ends[0][1]
        if len(chains) > 1 and close(total / len(chains), trail.logits):
            return chains
    return []


def _named(
    steps: Sequence[Step], names: dict[nn.Module, str]
) -> tuple[tuple[str | None, tuple[int, ...]], ...]:
    return tuple(
        (None if step.module is None else names[step.module], step.shape) for step in steps
    )


def _takes_places(steps: Sequence[Step]) -> bool:
    """Whether a head begins with a layer that weighs each place: it is not a pooling layer."""
    return bool(steps) and isinstance(steps[0].module, nn.Linear | nn.Conv2d)


def _is_spatial(output: Tensor) -> bool:
    return output.ndim in (3, 4) and not is_vector(output)


def _is_part(call: Call, other: Call) -> bool:
    """Whether a call is of a module that holds another, and so ended only because that did."""
    return call.name == "" or other.name.startswith(f"{call.name}.")


def _varies(value: Tensor) -> bool:
    """Whether a vector is not one number throughout: that would be the mean of anything."""
    return bool(value.max() > value.min())


def _why_not(network: str, calls: Sequence[Call], spatial: Sequence[int]) -> str:
    outputs = [f"{calls[place].name} {tuple(calls[place].output.shape)}" for place in spatial[-3:]]
    return (
        f"{network} gives no score for each cell: looked for a layer whose output (B, D, h, w), "
        "(B, h, w, D) or (B, N, D), averaged over its cells or taken at its class token, goes "
        "through layers alone to the scores; the last outputs with cells are "
        f"{', '.join(outputs) or 'none'}. These fit: global average pooling and any head of layers "
        "(ResNet, DenseNet, RegNet, MobileNet, EfficientNet, ConvNeXt, Swin), VGG and AlexNet, "
        "vision transformers with a class token or averaged tokens; attention pooling, maximum "
        "pooling, and functions other than ReLU between pooling and scores do not. Give such a "
        "head as modules, or compute a score map (B, C, h, w) yourself"
    )
