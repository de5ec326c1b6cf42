"""Lines of a training step: what accumulation costs, and what makes a step faster on a CPU."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from lines import Line
from torch import Tensor, nn

from oaa_pl.losses import image_level_loss
from oaa_pl.machine import usable_cores
from oaa_pl.nets.attention import AttentionNet
from oaa_pl.nets.lite import EfficientNetLiteTrunk
from oaa_pl.nets.small import SmallTrunk
from oaa_pl.nets.vgg import Vgg16Trunk
from oaa_pl.store.accumulate import accumulate
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore

__all__ = ["mode_lines", "step_lines"]

CLASSES, GRID = 20, (32, 32)


class Mode(NamedTuple):
    """How a training step computes.

    Attributes:
        words: in the table.
        last: whether weights have the memory format channels_last.
        half: whether the forward pass is in bfloat16.
        freeze: number of early blocks that are not trained.
        compiled: whether by torch.compile.
        batch: images in a step; None: the recipe's.
        threads: of torch.
    """

    words: str
    last: bool = True
    half: bool = False
    freeze: int = 0
    compiled: bool = False
    batch: int | None = None
    threads: int = 1


def network(name: str, freeze: int = 0) -> tuple[AttentionNet, int, int]:
    """A network from random weights, the batch of its recipe, and the side of its input."""
    if name == "small network":
        return AttentionNet(SmallTrunk(), CLASSES, 64), 16, 96
    if name == "EfficientNet-Lite0":
        trunk = EfficientNetLiteTrunk(0, "none", freeze=freeze)
        return AttentionNet(trunk, CLASSES, layers=0), 8, 224
    return AttentionNet(Vgg16Trunk("none", freeze=freeze), CLASSES), 5, 224


def step_lines(folder: Path) -> Iterator[Line]:
    """A training step with and without accumulation."""
    for name, sought in (
        ("small network", "<= 1.05"), ("EfficientNet-Lite0", "<= 1.02"), ("VGG-16", "<= 1.02"),
    ):  # fmt: skip
        net, batch, side = network(name)
        step = stepping(net, batch, side, Mode("plain"))
        yield Line(
            f"training step with accumulation over without, {name}, {side} px", sought,
            partial(accumulating, new_store(folder / name, batch), step), step,
            f"batch {batch}, one thread, float32",
        )  # fmt: skip


def mode_lines(heavy: bool) -> Iterator[Line]:
    """What makes a training step faster on a CPU, each against plain float32.

    Args:
        heavy: whether torch.compile is measured too, which takes minutes to compile.
    """
    cores = usable_cores()
    bf16 = "bfloat16 and channels_last: trainer.precision=auto chooses bfloat16"
    frozen = "the same, and the first two blocks frozen: net.freeze=2, not chosen by itself"
    modes = {
        "small network": (Mode("channels_last: applied by itself"), Mode(bf16, half=True)),
        "EfficientNet-Lite0": (
            Mode("channels_last: applied by itself"),
            Mode("bfloat16 and channels_last: not chosen by itself", half=True),
            Mode("channels_last, and the first two blocks frozen", freeze=2),
            Mode("channels_last, batch of 32 (for an image)", batch=32),
            *([Mode("channels_last and torch.compile", compiled=True)] if heavy else []),
        ),
        "VGG-16": (
            Mode("channels_last: applied by itself"), Mode(bf16, half=True),
            Mode(frozen, half=True, freeze=2),
        ),
    }  # fmt: skip
    for name, faster in modes.items():
        net, batch, side = network(name)
        plain = stepping(net, batch, side, Mode("plain", last=False))
        for mode in faster:
            other, _, _ = network(name, mode.freeze)
            count = mode.batch or batch
            work = stepping(other, count, side, mode)
            first = repeated(plain, count // batch)
            yield Line(
                f"training step, {name}: plain float32 over {mode.words}",
                ">= 4" if name == "VGG-16" and mode.half else "", first, work,
                f"batch {batch}, {side} px, one thread", turns=3,
            )  # fmt: skip
        both = stepping(net, batch, side, Mode("", last=False, threads=cores))
        yield Line(
            f"training step, {name}: one thread over {cores} threads", "", plain, both,
            "plain float32; torch takes all cores by itself", wall=True, turns=3,
        )  # fmt: skip


def repeated(step: Callable[[], object], times: int) -> Callable[[], None]:
    """Several steps as one."""

    def steps() -> None:
        for _ in range(times):
            step()

    return steps


def new_store(folder: Path, images: int) -> MemmapStore:
    """A store of as many images, each with one class."""
    names = tuple(f"class-{c}" for c in range(CLASSES))
    pairs = Pairs(tuple(f"image-{n}" for n in range(images)), names, torch.eye(CLASSES)[:images])
    return MemmapStore(folder, Header(names, pairs.fingerprint, GRID, "maximum"), pairs)


def stepping(net: AttentionNet, batch: int, side: int, mode: Mode) -> Callable[[], Tensor]:
    """A training step of a network on one batch of noise; it returns the score map."""
    layout = torch.channels_last if mode.last else torch.contiguous_format
    net = net.to(memory_format=layout)
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.9)
    image = torch.randn(batch, 3, side, side).to(memory_format=layout)
    labels = torch.eye(CLASSES).repeat(2, 1)[:batch]
    forward: nn.Module = torch.compile(net) if mode.compiled else net  # type: ignore[assignment]

    def step() -> Tensor:
        torch.set_num_threads(mode.threads)
        with torch.autocast("cpu", torch.bfloat16, enabled=mode.half):
            score_map = forward(image)
        image_level_loss(score_map.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        torch.set_num_threads(1)
        return score_map.detach().float()

    return step


def accumulating(store: MemmapStore, step: Callable[[], Tensor]) -> None:
    """A step, and what accumulation adds to it."""
    score_map = step()
    accumulate(store, score_map, torch.eye(CLASSES)[: len(score_map)], torch.arange(len(score_map)))
