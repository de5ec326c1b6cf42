"""Modules and data of the timed trials: no pretrained weights, constant targets."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import LightningModule

from oaa_pl.config.factory import factory
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.source import Source
from oaa_pl.modules.classifier import Classifier
from oaa_pl.modules.integral import IntegralAttention
from oaa_pl.modules.segmenter import Segmenter
from oaa_pl.stages import build

__all__ = ["classifier", "integral", "segmenter"]

Value = TypeVar("Value")


def classifier(cfg: DictConfig, train: Source) -> tuple[LightningModule, OaaDataModule]:
    """A classifier without pretrained weights, and its photos."""
    stage, classes = cfg.classifier, len(train.classes)
    net = build.attention_net(build.without_weights(cfg), classes)
    module = Classifier(
        net, *_optimisation(stage, "classifier"), classes, channels_last=cfg.net.channels_last
    )
    return module, build.datamodule(cfg, train, None, stage.batch_size)


def integral(cfg: DictConfig, train: Source) -> tuple[LightningModule, OaaDataModule]:
    """An integral model without pretrained weights, and empty maps."""
    stage, classes = cfg.integral, len(train.classes)
    net = build.attention_net(build.without_weights(cfg), classes)
    module = IntegralAttention(
        net,
        instantiate(cfg.loss.function),
        *_optimisation(stage, "integral"),
        channels_last=cfg.net.channels_last,
    )
    maps = _Constant(np.zeros((classes, *cfg.store.grid), np.float32))
    return module, build.datamodule(cfg, train, None, stage.batch_size, soft_labels=maps)


def segmenter(cfg: DictConfig, train: Source) -> tuple[LightningModule, OaaDataModule]:
    """A segmenter without pretrained weights, and proxy labels of background only."""
    cfg = build.for_segmenter(cfg)
    stage = cfg.segmenter
    net = build.segmenter_net(build.without_weights(cfg), len(train.classes))
    module = Segmenter(net, *_optimisation(stage, "segmenter"), channels_last=cfg.net.channels_last)
    labels = _Constant(np.zeros((64, 64), np.uint8))  # resized to the photo's view, as any label
    data = build.datamodule(
        cfg, train, None, stage.batch_size, transform="segmenter_train_transform",
        proxy_labels=labels,
    )  # fmt: skip
    return module, data


def _optimisation(stage: DictConfig, name: str) -> tuple[Any, Any]:
    """Factories of a stage's optimiser and schedule."""
    return factory(stage.optimizer, f"{name}.optimizer"), factory(
        stage.schedule, f"{name}.schedule"
    )


@dataclass(frozen=True)
class _Constant(Generic[Value]):
    """Replaces maps or labels that do not exist yet. Can be pickled into a loader's process."""

    value: Value

    def __call__(self, index: int) -> Value:
        del index
        return self.value
