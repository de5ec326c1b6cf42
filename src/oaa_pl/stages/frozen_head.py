"""Stage 3 as a cheap judge of labels: a head on the classifier's frozen features.

All methods of a run share the features, the start of the head and the order of the photos: only
their labels differ.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from typing_extensions import override

from oaa_pl.data.constant import Constant
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.features import FeatureDataset, Features, feature_data
from oaa_pl.data.source import Source
from oaa_pl.data.subset import draw_fraction
from oaa_pl.modules.frozen_head import FrozenHeadSegmenter
from oaa_pl.runs.record import StageRecord, read_key
from oaa_pl.stages.features import FeatureStage
from oaa_pl.stages.segmenter import SegmenterStage

__all__ = ["FrozenHeadStage"]

_PART = 64  # images whose features are in memory at once while they are measured


@dataclass(kw_only=True, eq=False)
class FrozenHeadStage(SegmenterStage):
    """Train a head on a method's labels.

    Attributes:
        features: of the training photos; computed if no head of this run needed them before.
        target: pixels of the side of the labels in training.
    """

    recipe: ClassVar[str] = "frozen_head"

    features: FeatureStage
    target: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs = (*self.needs, self.features.model)

    @override
    def own_key(self) -> dict[str, Any]:
        own = {"fraction": self.fraction, "target": self.target, **self.learned_key}
        return {
            "segmenter": {**self.training_key(), **own},
            "features": self.features.key(),
            "labels": read_key(self.labels.folder),
        }

    @override
    def files(self) -> dict[str, str]:
        return super().files() | self.features.files()

    @override
    def make(self, record: StageRecord, *, alone: bool) -> Mapping[str, Any] | None:
        self.features.run(alone=False)
        return super().make(record, alone=alone)

    @override
    def initial(self, net: nn.Module) -> nn.Module:
        net.get_submodule("trunk").load_state_dict(self.features.frozen_trunk().state_dict())
        found, places = self.features.open(), self._places
        parts = (places[first : first + _PART] for first in range(0, len(places), _PART))
        net.standardise.measure(torch.from_numpy(found[part]) for part in parts)  # type: ignore[operator,union-attr]  # of a FrozenHeadNet
        return net

    @override
    def module(self, net: nn.Module) -> FrozenHeadSegmenter:
        return FrozenHeadSegmenter(
            net, *self.optimisation(), self.classes, channels_last=self.net.channels_last,
            recipe=self.calls(),
        )  # fmt: skip

    @property
    def _places(self) -> list[int]:
        everything = range(len(self.data.train.ids))
        return draw_fraction(everything, self.fraction, self.run_folders.seed)

    @override
    def loaders(self, *, trial: bool = False) -> OaaDataModule:
        features: Features
        proxy: Callable[[int], NDArray[np.uint8]]
        if trial:
            blank = torch.zeros(1, 3, self.features.size, self.features.size)
            trunk = self.net.make(self.classes).get_submodule("trunk")
            features = trunk(blank).numpy().astype(np.float16)
            places, proxy = [0] * len(self.photos.ids), Constant(np.zeros((64, 64), np.uint8))
        else:
            features, places, proxy = self.features.open(), self._places, self._proxy
        data = self.data.loaders(self.net, self.photos, batch_size=self.planned.batch_size)
        dataset = FeatureDataset(
            self.photos, features, places, proxy, self.target, self.run_folders.seed
        )
        return feature_data(data, dataset)

    @property
    @override
    def validates_on(self) -> Source | None:
        return None  # its training ends in a minute, and `oaa evaluate` looks at photos
