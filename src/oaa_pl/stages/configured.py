"""A composed configuration as the parts that stages are made of.

Only this file and `pipeline.py` know the keys of the configuration. A stage is given its parts.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from oaa_pl.config.compose import compose_group, in_sweep, overridden
from oaa_pl.config.fusions import fusion_labels
from oaa_pl.config.recipe import Recipe
from oaa_pl.config.segmenter import changes_for_segmenters
from oaa_pl.config.sources import require_values
from oaa_pl.errors import ConfigError
from oaa_pl.metrics import require_threshold
from oaa_pl.parallel.fan_out import FanOut
from oaa_pl.runs.folders import Run
from oaa_pl.runs.named import run_of
from oaa_pl.stages.integral import Loss
from oaa_pl.stages.metrics import AddedMetrics
from oaa_pl.stages.parts import Data, Network
from oaa_pl.stages.trained import Segmenting
from oaa_pl.stages.views import MapViews, map_views_of, tile_of, views_of
from oaa_pl.training.length import Length
from oaa_pl.training.loader_workers import loader_workers
from oaa_pl.training.loggers import BLANKS, named_nodes
from oaa_pl.training.trainer_plan import TrainerPlan

__all__ = ["Configured"]


class Configured:
    """Parts of a run, each made at its first use.

    Args:
        cfg: the composed configuration, or one that a stage recorded.
        like: a variant of the same run, with which photos are shared.

    Attributes:
        values: the whole configuration, as plain resolved values.

    Raises:
        ConfigError: if a value of the data set that has no default is not given.
    """

    def __init__(self, cfg: DictConfig, like: "Configured | None" = None) -> None:
        require_values(cfg)
        self._cfg = cfg
        self.values: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]  # a mapping's
        same = ("data", "loader", "seed", "runs")
        if like is not None and all(self.values[key] == like.values[key] for key in same):
            self.__dict__["data"] = like.data

    def value(self, key: str) -> Any:
        """One value.

        Args:
            key: such as `net.weights`.

        Raises:
            ConfigError: if there is no such value.
        """
        node: Any = self.values
        for name in key.split("."):
            if not isinstance(node, dict) or name not in node:
                raise ConfigError(f"{key} is missing; say {key}=...")
            node = node[name]
        return node

    def recipe(self, key: str) -> Recipe:
        """The recipe that a part of the configuration is."""
        return Recipe(self.value(key))

    @cached_property
    def run(self) -> Run:
        """Folders of the run."""
        return run_of(self.values)

    @cached_property
    def data(self) -> Data:
        """Photos and tags."""
        val, segmenter = (self.value("data").get(k) for k in ("val", "segmenter_train_transform"))
        return Data(
            train_source=self.recipe("data.train"),
            val_source=Recipe(val) if val else None,
            train_transform=self.recipe("data.train_transform"),
            eval_transform=self.recipe("data.eval_transform"),
            segmenter_transform=Recipe(segmenter) if segmenter else None,
            seed=self.value("seed"),
            num_workers=loader_workers(self.value("loader.num_workers"), self.value("trainer")),
            eval_batch_size=self.value("loader.eval_batch_size"),
            shuffle=self.value("loader.shuffle"),
            photo_memory=self.value("loader.photo_memory"),
            folder=Path(self.value("runs")),
        )

    def network(self, role: str) -> Network:
        """The attention models' network, or the segmenter's.

        Args:
            role: "attention" or "segmenter".
        """
        own = ("weights", "mean", "std", "channels_last", "attention", "segmenter", "layers")
        return Network(
            self.recipe(f"net.{role}"), self.value("net.mean"), self.value("net.std"), role,
            self.value("net.weights"), self.value("net.channels_last"),
            {key: value for key, value in self.value("net").items() if key not in own},
        )  # fmt: skip

    @cached_property
    def trainer(self) -> TrainerPlan:
        """The settings of the run's trainings."""
        # Blanks stand for what each stage fills in.
        blank = OmegaConf.merge(self._cfg, {"training": dict(BLANKS)})
        unfilled: Any = OmegaConf.to_container(blank, resolve=True)
        return TrainerPlan(
            settings=self.value("trainer"),
            callbacks=named_nodes(unfilled.get("callbacks"), "callbacks"),
            loggers=named_nodes(unfilled.get("logger"), "logger"),
            job=self.run.label,
            in_sweep=in_sweep(),
        )

    def training(self, part: str) -> dict[str, Any]:
        """What every training stage needs from its own part.

        Args:
            part: "classifier", "integral" or "segmenter".
        """
        own = self.value(part)
        length = {n: self.value(f"{part}.{n}") for n in ("epochs", "steps", "batch_size")}
        return {
            "optimizer": self.recipe(f"{part}.optimizer"),
            "schedule": self.recipe(f"{part}.schedule"),
            "planned": Length(**length, least_steps=own.get("least_steps")),
            "validate_every": own.get("validate_every"),
            "trainer": self.trainer,
        }

    @property
    def fan_out(self) -> FanOut:
        """Where work is done that is the same for every photo.

        Raises:
            ConfigError: if a value is out of range, or a package is not installed.
        """
        return FanOut(**self.values.get("parallel", {}))  # the record of an older run has none

    @property
    def fusions(self) -> dict[str, str]:
        """Label of the rule that fuses each accumulated method's maps.

        Raises:
            ConfigError: if one is not a fusion, or has a value that a store would not keep.
        """
        return fusion_labels(self.value("fusion.stores"))

    @property
    def loss(self) -> Loss:
        """Of the integral model."""
        name, method = self.value("loss.name"), self.value("loss.method")
        return Loss(name, method, self.recipe("loss.function"))

    def with_loss(self, name: str) -> "Configured":
        """The same run with another loss, as `loss=<name>` would make it."""
        if self.value("loss.name") == name:
            return self
        other = {"loss": compose_group("loss", name)}
        return Configured(overridden(self._cfg, {"loss": None}, other), self)

    @property
    def with_frozen_head(self) -> "Configured":
        """The same run with a frozen head, from which its segmenters start."""
        return Configured(overridden(self._cfg, {"segmenter": {"tuned_head": None}}), self)

    @cached_property
    def of_segmenter(self) -> "Configured":
        """The same run with the segmenter's network in the place of the attention models'.

        Raises:
            ConfigError: as `changes_for_segmenters` does.
        """
        changes = changes_for_segmenters(self.values)
        return Configured(overridden(self._cfg, *changes), self) if changes else self

    @property
    def views(self) -> dict[str, Any]:
        """At which sizes and scales a trained segmenter looks at photos.

        Raises:
            ConfigError: if a value of `evaluate` is out of range.
        """
        return views_of(self._cfg)

    @property
    def tile(self) -> int | None:
        """Longest side in pixels of what a segmenter's network gets at once; None: any.

        Raises:
            ConfigError: if `evaluate.tile` is out of range.
        """
        return tile_of(self._cfg)

    @property
    def map_views(self) -> MapViews:
        """At which scales, mirrored or not, a trained model looks at photos to make its maps.

        Raises:
            ConfigError: if a value of `attend` is out of range.
        """
        return map_views_of(self._cfg)

    @cached_property
    def segmenting(self) -> Segmenting:
        """How a trained segmenter looks at photos."""
        parts = self.of_segmenter
        return Segmenting(
            parts.network("segmenter"), self.trainer, parts.views, self.recipe("crf"), self.tile
        )

    @property
    def metrics(self) -> AddedMetrics:
        """Scores beside the package's own.

        Raises:
            ConfigError: if a node of `metric` is not one of a metric.
        """
        return AddedMetrics(self.values.get("metric", {}))  # older records have none

    @property
    def threshold(self) -> float:
        """Attention below it is background in `attention/miou`, in [0, 1].

        Raises:
            ConfigError: if it is out of range.
        """
        return require_threshold(self.value("evaluate.threshold"))

    def require_extras(self) -> None:
        """Refuse, before hours of training, a CRF that could not be made after them.

        Raises:
            ConfigError: if a CRF's extra is not installed, or a number of it is out of range.
        """
        for key in ("crf", "label.crf"):
            self.recipe(key)()
