"""A network that can be exported, and how it is to be used.

Shapes: H x W pixels of a photo; C foreground classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import nn

from oaa_pl.nets.trunk import trunk_stride
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.parts import Network

__all__ = ["Arrays", "Exportable", "Trained", "fixed_side"]

Arrays = dict[str, NDArray[Any]]


class Trained(NamedTuple):
    """A trained network as its folder records it.

    Attributes:
        kind: "segmenter", "integral" or "classifier".
        checkpoint: its file.
        cfg: the configuration that it was trained with.
        configured: the same as parts.
        network: what made it.
        net: the network itself, on the CPU in float32, in evaluation mode.
        classes: names of the foreground classes.
    """

    kind: str
    checkpoint: Path
    cfg: DictConfig
    configured: Configured
    network: Network
    net: nn.Module
    classes: tuple[str, ...]

    @property
    def facts(self) -> dict[str, Any]:
        """What a user of any exported network has to know, as plain values."""
        return {
            "format": 1,
            "kind": self.kind,
            "network": str(self.network.notes.get("name", self.network.recipe.name)),
            "parameters": sum(parameter.numel() for parameter in self.net.parameters()),
            "precision": "float32",
            "classes": list(self.classes),
            "image": "RGB, uint8, (B, h, w, 3), resized as `resize` has it",
            "multiple": trunk_stride(self.net),
            # For information: the graph does it.
            "normalised_in_graph": {
                "mean": list(self.network.mean), "std": list(self.network.std)
            },
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Exportable:
    """A network with what comes before and after it.

    Attributes:
        kind: "segmenter", "integral" or "classifier".
        graph: inputs to outputs, on the CPU in float32, in evaluation mode.
        outputs: names of the outputs, in order.
        multiple: sides of the network's input are multiples of it.
        side: the only side that the network takes; None: any.
        facts: what a user of the file has to know, as plain values.
        inputs: photos (H, W, 3) of one size to the graph's inputs by name.
        expected: a photo (H, W, 3) to what the checkpoint's own code gives, by name.
    """

    kind: str
    graph: nn.Module
    outputs: tuple[str, ...]
    multiple: int
    side: int | None
    facts: dict[str, Any]
    inputs: Callable[[Sequence[NDArray[np.uint8]]], Arrays]
    expected: Callable[[NDArray[np.uint8]], Arrays]

    def example(self, cells: tuple[int, int], batch: int) -> Arrays:
        """Inputs of noise, to trace the graph, and to compare sizes that no photo leads to.

        Args:
            cells: height and width of the network's input, beyond 64 pixels, in multiples.
            batch: number of images.
        """
        least = -(-64 // self.multiple)
        height, width = ((least + more) * self.multiple for more in cells)
        if self.side is not None:
            height = width = self.side
        shape = (batch, height, width, 3)
        noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        size = {"size": np.array([height - 3, width + 5], np.int64)}
        return {"image": noise} | (size if self.kind == "segmenter" else {})


def fixed_side(net: nn.Module) -> int | None:
    """The only side that a network's input may have; None: any multiple of its stride."""
    side = getattr(getattr(net, "trunk", None), "side", None)
    return side if isinstance(side, int) else None
