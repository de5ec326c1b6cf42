"""What stages are made of: photos, a network, and the text of their configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import nn

from oaa_pl.config.recipe import Recipe
from oaa_pl.config.sources import sources
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.source import Source
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.runs.inputs import weight_files

__all__ = ["Config", "Data", "Network"]


@dataclass(frozen=True)
class Network:
    """How to make a network, and the mean and std of its images.

    Attributes:
        recipe: number of output maps to module: images (B, 3, H, W) to maps (B, maps, h, w).
        mean: of its input in [0, 1], R, G, B.
        std: of the same.
        role: "attention", with a map for each class, or "segmenter", with one for the background
            as well.
        weights: pretrained ones: "none", a name, or a file, whose content is recorded.
        channels_last: memory format.
        notes: other plain values that belong to its record.
    """

    recipe: Recipe
    mean: Sequence[float]
    std: Sequence[float]
    role: str = "attention"
    weights: Any = "none"
    channels_last: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)

    def make(self, classes: int) -> nn.Module:
        """The network.

        Args:
            classes: C, without the background.
        """
        net: nn.Module = self.recipe(num_classes=classes + (self.role == "segmenter"))
        return net

    @property
    def unweighted(self) -> "Network":
        """The same network without pretrained weights: a checkpoint will give them."""
        return replace(self, recipe=self.recipe.without_weights(), weights="none")

    @property
    def full_on_cpu(self) -> str | None:
        """Its name, if it gains nothing from bfloat16 on a CPU; else None."""
        slow = self.notes.get("bf16_on_cpu") is False
        return str(self.notes.get("name", self.recipe.name)) if slow else None

    @property
    def key(self) -> dict[str, Any]:
        """For a stage's record: weights by their file's name, not its folder."""
        own = {"weights": self.weights, "channels_last": self.channels_last}
        colours = {"mean": list(self.mean), "std": list(self.std)}
        key: dict[str, Any] = _without_paths(
            {**self.notes, **own, **colours, self.role: self.recipe.key}
        )
        return key

    @property
    def files(self) -> dict[str, str]:
        """Digest of its weights, if they are a file."""
        return weight_files(self.weights)


def _without_paths(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            key: Path(value).name if key == "weights" else _without_paths(value)
            for key, value in node.items()
        }
    return node


@dataclass(frozen=True, eq=False)
class Data:
    """Photos and tags of a run, and how networks see the photos.

    Attributes:
        train_source: what makes the training source.
        val_source: what makes the validation source; None: no validation.
        train_transform: a list of augmentations: the attention networks' training.
        eval_transform: a list of augmentations: what networks see otherwise.
        segmenter_transform: a list of augmentations: the segmenter's training; None: as
            `train_transform`.
        seed: of order and augmentation.
        num_workers: processes that decode photos.
        eval_batch_size: where nothing is learned.
        shuffle: whether each epoch has a new order.
        photo_memory: MB of resized photos that a training keeps for its later epochs.
        folder: where files will be named by the photos' ids.
    """

    train_source: Recipe
    val_source: Recipe | None
    train_transform: Recipe
    eval_transform: Recipe
    segmenter_transform: Recipe | None = None
    seed: int = 0
    num_workers: int = 0
    eval_batch_size: int = 16
    shuffle: bool = True
    photo_memory: int = 0
    folder: Path = Path()

    @cached_property
    def sources(self) -> tuple[Source, Source | None]:
        """Training photos, and those to validate on if there are any.

        Raises:
            ConfigError: if there is nothing to learn from them, or an id makes no file name.
        """
        return sources(self.train_source, self.val_source, self.folder)

    @property
    def train(self) -> Source:
        """The training photos."""
        return self.sources[0]

    @property
    def val(self) -> Source | None:
        """The validation photos, if there are any."""
        return self.sources[1]

    @property
    def input_key(self) -> list[Any]:
        """For a stage's record: what the networks see."""
        return [self.train_transform.key, self.eval_transform.key]

    def loaders(
        self,
        net: Network,
        train: Source,
        val: Source | None = None,
        batch_size: int | None = None,
        transform: Recipe | None = None,
        eval_transform: Recipe | None = None,
        soft_labels: Callable[[int], NDArray[np.float32]] | None = None,
        proxy_labels: Callable[[int], NDArray[np.uint8]] | None = None,
        val_labels: Callable[[int], NDArray[np.uint8]] | None = None,
    ) -> OaaDataModule:
        """The loaders of a stage.

        Args:
            net: whose input the photos become.
            train: photos and tags to train on, or to be read as they are.
            val: photos and tags to validate on, or None.
            batch_size: of training, per process; as where nothing is learned if None.
            transform: of training; `train_transform` if None.
            eval_transform: of photos that nothing is learned from; the run's own if None.
            soft_labels: index to cumulative attention (C, h, w), for the integral model.
            proxy_labels: index to label map (H, W), for the segmenter.
            val_labels: index to label map (H, W), to validate a segmenter.
        """
        return OaaDataModule(
            train,
            val,
            self._view(transform or self.train_transform, net),
            self._view(eval_transform or self.eval_transform, net),
            self.eval_batch_size if batch_size is None else batch_size,
            self.num_workers,
            self.seed,
            soft_labels=soft_labels,
            proxy_labels=proxy_labels,
            val_labels=val_labels,
            eval_batch_size=self.eval_batch_size,
            shuffle=self.shuffle,
            photo_memory=self.photo_memory,
        )

    @staticmethod
    def _view(augmentations: Recipe, net: Network) -> ViewTransform:
        return ViewTransform(augmentations(), net.mean, net.std)


@dataclass(frozen=True)
class Config:
    """The resolved configuration that a stage writes beside its record.

    Attributes:
        values: plain ones; none for a stage that is made without a configuration.
    """

    values: Mapping[str, Any] = field(default_factory=dict)

    def text(self, **changes: Mapping[str, Any]) -> str:
        """The configuration as YAML.

        Args:
            **changes: values that were decided since, by their part: `trainer={"precision": ...}`.
        """
        parts = {name: {**self.values.get(name, {}), **new} for name, new in changes.items()}
        return OmegaConf.to_yaml({**self.values, **parts})
