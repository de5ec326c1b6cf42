"""The typed borders between data, networks and callbacks.

Shapes: B images, C foreground classes, H x W pixels of the network's input, h x w cells of a grid.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import NotRequired, TypedDict

from torch import Tensor

__all__ = ["Batch", "Draw", "Purpose", "StepOutput"]


@unique
class Purpose(IntEnum):
    """First number of every random generator's seed.

    No two purposes share one. Otherwise the order of epoch e and the augmentation of image 0 in it,
    for example, would use the same random stream.
    """

    ORDER = 1
    AUGMENTATION = 2
    MIRRORED_FEATURES = 3
    ATTENTION_DROP = 4


@dataclass(frozen=True, slots=True)
class Draw:
    """What a sampler hands to a data set: a training sample is a pure function of it and the seed.

    Carrying the epoch here is what makes a resumed run equal to an uninterrupted one: no random
    state lives in the data set, in its workers or in the order in which they were started.

    Attributes:
        index: the image's place in the data set, 0..N-1.
        epoch: the training epoch, which picks the augmentation; 0 outside training.
        repeat: true for the copies that pad the last batches of a multi-process epoch.
    """

    index: int
    epoch: int = 0
    repeat: bool = False


class Batch(TypedDict):
    """What every stage's `training_step`, `validation_step` and `predict_step` receives."""

    image: Tensor  # (B, 3, H, W) float32, normalised
    labels: Tensor  # (B, C) float32 in {0, 1}: the image-level tags
    index: Tensor  # (B,) int64, on the CPU: the image's place in the data set
    view: Tensor  # (B, 2, 3) float32: whole-image coordinates in [-1, 1] -> view coordinates
    repeat: Tensor  # (B,) bool: a copy that pads an epoch; trained on, never accumulated
    soft_label: NotRequired[Tensor]  # (B, C, h, w) float32 in [0, 1], whole-image grid: integral
    target: NotRequired[Tensor]  # (B, H, W) int64 in {0..C, 255}, in the view: segmenter


class StepOutput(TypedDict):
    """What `training_step` returns to Lightning and its callbacks."""

    loss: Tensor  # scalar, attached
    score_map: Tensor  # (B, C, h, w) raw class scores, detached
