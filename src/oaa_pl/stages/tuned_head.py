"""Stage 3 in two steps: a head on frozen features, then head and trunk together, on photos.

A head of random numbers would first spoil features of the trunk that few photos cannot teach again.

Source: Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution", ICLR 2022, section 3.4 (LP-FT).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn
from typing_extensions import override

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.recipe import Recipe
from oaa_pl.runs.record import StageRecord
from oaa_pl.stages.frozen_head import FrozenHeadStage
from oaa_pl.stages.segmenter import SegmenterStage
from oaa_pl.stages.trained import load_into

__all__ = ["TunedHeadStage"]


@dataclass(kw_only=True, eq=False)
class TunedHeadStage(SegmenterStage):
    """Train head and trunk on a method's labels, from the method's frozen head.

    Attributes:
        head: the first step; made if this run does not have it yet.
        augmentations: a list of them: how the photos are seen in training.
    """

    recipe: ClassVar[str] = "tuned_head"

    head: FrozenHeadStage
    augmentations: Recipe

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs = self.head.needs

    @property
    @override
    def transform(self) -> Recipe:
        return self.augmentations

    @override
    def own_key(self) -> dict[str, Any]:
        return {**super().own_key(), "head": self.head.key()}

    @override
    def files(self) -> dict[str, str]:
        return super().files() | self.head.files()

    @override
    def make(self, record: StageRecord, *, alone: bool) -> Mapping[str, Any] | None:
        self.head.run(alone=False)
        return super().make(record, alone=alone)

    @override
    def initial(self, net: nn.Module) -> nn.Module:
        return load_into(net, self.head.folder / LAST)
