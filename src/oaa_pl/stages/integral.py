"""Stage 2: train the integral attention model on the cumulative maps.

Source: Jiang et al., ICCV 2019, section 3.3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn
from typing_extensions import override

from oaa_pl.config.recipe import Recipe
from oaa_pl.config.sources import maps_of
from oaa_pl.data.constant import Constant
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.modules.integral import IntegralAttention
from oaa_pl.runs.record import read_key
from oaa_pl.stages.attention import Maps
from oaa_pl.stages.trained import start_from
from oaa_pl.stages.trained_stage import TrainedStage

__all__ = ["IntegralStage", "Loss"]


@dataclass(frozen=True)
class Loss:
    """What an integral model is trained with.

    Attributes:
        name: which tells integral models apart.
        method: that the maps of its model belong to.
        function: score map and soft label, both (B, C, h, w), to a scalar.
    """

    name: str
    method: str
    function: Recipe

    @property
    def key(self) -> dict[str, Any]:
        """For a stage's record."""
        return {"name": self.name, "method": self.method, "function": self.function.key}


@dataclass(kw_only=True, eq=False)
class IntegralStage(TrainedStage):
    """Train a network cell by cell against cumulative maps.

    Attributes:
        loss: of the training.
        maps: the cumulative maps that it learns.
        grid: cells (h, w) of each of them.
        init: "net", "classifier" or "classifier_trunk": see `start_from`.
    """

    part: ClassVar[str] = "integral"
    noun: ClassVar[str] = "integral model"

    loss: Loss
    maps: Maps
    grid: tuple[int, int]
    init: str = "net"

    def __post_init__(self) -> None:
        loss = self.loss.name
        self.name, self.title = f"integral {loss}", f"integral attention model, {loss} loss"
        self.folder = self.run_folders.integral(loss)
        self.maker, self.needs = f"oaa fit stage=integral loss={loss}", (self.maps,)

    @override
    def own_key(self) -> dict[str, Any]:
        own = {"soft_labels": self.maps.method, "init": self.init}
        return {
            "integral": {**self.training_key(), **own},
            "loss": self.loss.key,
            "maps": read_key(self.maps.folder),
        }

    @override
    def initial(self, net: nn.Module) -> nn.Module:
        return start_from(self.init, net, self.run_folders.classifier)

    @override
    def module(self, net: nn.Module) -> IntegralAttention:
        optimizer, schedule = self.optimisation()
        return IntegralAttention(
            net, self.loss.function(), optimizer, schedule, channels_last=self.net.channels_last,
            recipe={**self.calls(), "loss": self.loss.function.key},
        )  # fmt: skip

    @override
    def loaders(self, *, trial: bool = False) -> OaaDataModule:
        maps: Callable[[int], NDArray[np.float32]]
        if trial:
            maps = Constant(np.zeros((self.classes, *self.grid), np.float32))
        else:
            maps = maps_of(self.photos, self.maps.folder).dense
        return self.data.loaders(
            self.net, self.photos, None, self.planned.batch_size, soft_labels=maps
        )
