"""The stages that a configuration describes, in the order in which `oaa reproduce` runs them."""

from collections.abc import Sequence
from typing import Any, cast

from omegaconf import DictConfig

from oaa_pl.config.methods import chosen_method, method_in
from oaa_pl.config.recipe import Recipe
from oaa_pl.config.segmenter import head_of_segmenters
from oaa_pl.errors import ConfigError
from oaa_pl.report.methods import Method
from oaa_pl.report.results import Row, collect, read_results
from oaa_pl.runs.shared import one_job_at_a_time
from oaa_pl.stages.attention import AttentionStage, Maps
from oaa_pl.stages.classifier import ClassifierStage
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.features import FeatureStage
from oaa_pl.stages.frozen_head import FrozenHeadStage
from oaa_pl.stages.integral import IntegralStage
from oaa_pl.stages.label import LabelStage
from oaa_pl.stages.parts import Config
from oaa_pl.stages.segmenter import SegmenterStage
from oaa_pl.stages.stage import Stage
from oaa_pl.stages.trained_stage import TrainedStage
from oaa_pl.stages.true_masks import TrueMasks
from oaa_pl.stages.tuned_head import TunedHeadStage
from oaa_pl.stages.views import MapViews

__all__ = ["Pipeline"]

_BY_CLASSIFIER = "oaa fit stage=classifier"


class Pipeline:
    """Every stage of a run.

    Args:
        cfg: the composed configuration.

    Attributes:
        parts: of the run.

    Raises:
        ConfigError: if a value of the data set that has no default is not given.
    """

    def __init__(self, cfg: DictConfig | Configured) -> None:
        self.parts = cfg if isinstance(cfg, Configured) else Configured(cfg)

    @property
    def methods(self) -> list[str]:
        """The methods that are compared."""
        return list(self.parts.value("methods"))

    @property
    def method(self) -> str:
        """The one that is chosen: by `method=NAME`, else the last of `methods`.

        Raises:
            ConfigError: if there is no such method.
        """
        return chosen_method(self.parts.values).name

    def stages(self) -> list[Stage]:
        """All that the methods need, each behind what it reads.

        Raises:
            ConfigError: if a method is unknown, or its store is not fed by the classifier.
        """
        methods, fusions = self.methods, self.parts.fusions
        for method in methods:
            if self._method(method).source == "store" and method not in fusions:
                raise ConfigError(
                    f"methods has {method}, but fusion feeds {list(fusions)}; "
                    "say fusion=both, or leave it out of methods"
                )
        stages: list[Stage] = [self.classifier()]
        for method in methods:
            loss = self._method(method).loss
            if loss is not None:
                stages.append(Pipeline(self.parts.with_loss(loss)).integral())
            if method not in fusions and self._method(method).source != "masks":
                stages.append(self.attention(method))
        stages += map(self.labels, methods)
        stages += map(self.segmenter, methods)
        return stages

    def scored(self) -> list[Stage]:
        """Every stage that can be scored; segmenters only where they are trained."""
        stages: list[Stage] = [self.classifier()]
        for method in self.methods:
            has_maps = self._method(method).source != "masks"
            stages += [*([self.maps(method)] if has_maps else []), self.labels(method)]
            # A segmenter that cannot be trained like this must not stop other scores.
            if (self.parts.run.segmenter(method) / "done.json").is_file():
                stages.append(self.segmenter(method))
        return stages

    def score(self) -> int:
        """Score every finished stage that has no scores yet, or was scored in another way.

        Returns:
            Number of stages that have scores now.

        Raises:
            ConfigError: if the CRF cannot be made, or a value of `evaluate` is out of range.
            StoreError: if another process writes the folder of a stage that has to be scored.
        """
        stages, _, _ = self.scored(), self.parts.views, self.parts.tile
        self.parts.recipe("crf")()  # or it would be missed after everything else is scored
        with one_job_at_a_time(f"scores of {self.parts.run.root}"):
            return sum(stage.score() for stage in stages)

    def collect(self) -> list[Row]:
        """Gather the scores of all seeds and variants into `results.csv`.

        Raises:
            MissingInputError: if nothing was scored yet.
        """
        with one_job_at_a_time("results"):
            return collect(self.parts.run.home)

    def metric(self, stages: Sequence[Stage]) -> float | None:
        """The last score of `optimized_metric` that the stages have; None if they have none."""
        name = self.parts.values.get("optimized_metric", "segmentation/miou")
        for stage in reversed(stages):
            path = stage.scored_folder / "metrics.csv"
            rows = read_results(path) if path.is_file() else []
            if values := [row.value for row in rows if row.metric == name]:
                return values[-1]
        return None

    @property
    def _grid(self) -> tuple[int, int]:
        height, width = self.parts.value("store.grid")
        return height, width

    def _method(self, name: str) -> Method:
        return method_in(self.parts.values, name)

    def _shared(self, parts: Configured | None = None) -> dict[str, Any]:
        parts = parts or self.parts
        return {
            "run_folders": self.parts.run, "data": parts.data, "config": Config(parts.values),
            "metrics": self.parts.metrics, "fan_out": self.parts.fan_out,
        }  # fmt: skip

    def classifier(self) -> ClassifierStage:
        """Stage 1."""
        parts = self.parts
        own = ("first_epoch", "keep_empty", "fallback")
        return ClassifierStage(
            **self._shared(), **parts.training("classifier"), net=parts.network("attention"),
            gate=parts.recipe("gate"), attention=parts.recipe("attention"),
            fusions=self.parts.fusions, grid=self._grid, threshold=parts.threshold,
            writer_thread=parts.value("store").get("writer_thread"),  # not in older records
            # The record of an older run has none; nothing is trained from it.
            watched=parts.values["report"].get("watched", 0),
            **{name: parts.value(f"classifier.{name}") for name in own},
        )  # fmt: skip

    def integral(self) -> IntegralStage:
        """Stage 2, with the configuration's loss."""
        parts = self.parts
        maps = self.maps(parts.value("integral.soft_labels"), _BY_CLASSIFIER)
        return IntegralStage(
            **self._shared(), **parts.training("integral"), net=parts.network("attention"),
            loss=parts.loss, maps=maps, grid=self._grid, init=parts.value("integral.init"),
        )  # fmt: skip

    def maps(self, method: str, made_by: str = "") -> Maps:
        """A method's attention maps, to be read or scored.

        Args:
            method: its name.
            made_by: the command that makes them, if another than usual.
        """
        made_by = made_by or (_BY_CLASSIFIER if method in self.parts.fusions else "")
        threshold = self.parts.threshold
        return Maps(**self._shared(), method=method, made_by=made_by, threshold=threshold)

    def attention(self, method: str) -> AttentionStage:
        """The export of a method's maps from its model.

        Raises:
            ConfigError: if the method has no model of its own.
        """
        one = self._method(method)
        # The record names the loss of the model, by which `oaa store repair` finds it.
        run = Pipeline(self.parts.with_loss(one.loss)) if one.loss is not None else self
        model: TrainedStage | None = None
        to_attention = run.parts.recipe("attention")
        if one.source == "classifier":
            model = self.classifier()
            if one.attention is not None:
                to_attention = Recipe({"_target_": one.attention, "_partial_": True})
        elif one.loss is not None:
            model = run.integral()
            # The record of an older run has one conversion to attention for all.
            to_attention = Recipe(run.parts.value("integral").get("attention", to_attention.key))
        elif one.source == "store":
            raise ConfigError(
                f"method={method} has no model of its own: '{_BY_CLASSIFIER}' accumulates its "
                "maps; say method=cam, or a method of an integral model"
            )
        elif one.source == "masks":
            raise ConfigError(f"method={method} has no maps: it is the true masks themselves")
        return AttentionStage(
            **run._shared(), method=method, threshold=self.parts.threshold, grid=self._grid,
            model=model, to_attention=to_attention if model else None,
            views=self.parts.map_views if model else MapViews(),
        )  # fmt: skip

    def labels(self, method: str) -> LabelStage | TrueMasks:
        """The proxy labels of a method's maps; or the true masks, for the upper bound."""
        parts = self.parts
        if self._method(method).source == "masks":
            return TrueMasks(**self._shared(), method=method)
        return LabelStage(
            **self._shared(), maps=self.maps(method), background=parts.recipe("background"),
            rule=parts.recipe("proxy"), crf=parts.recipe("label.crf"),
            # The record of an older run has none.
            refine=parts.recipe("refine") if "refine" in parts.values else None,
            workers=parts.value("label.workers"),
        )  # fmt: skip

    def segmenter(self, method: str) -> SegmenterStage:
        """Stage 3, on the proxy labels of a method."""
        parts = self.parts.of_segmenter
        net = parts.network("segmenter")
        shared = {
            **self._shared(parts), **parts.training("segmenter"), "labels": self.labels(method),
            "learns": self._method(method).labels, "segmenting": self.parts.segmenting,
            "fraction": parts.value("segmenter.fraction"),
            "by_photo": bool(parts.value("evaluate").get("by_photo")),
        }  # fmt: skip
        head = head_of_segmenters(self.parts.value("segmenter"))
        if head is None:
            return SegmenterStage(**shared, net=net, init=parts.value("segmenter.init"))
        net, augmentations = net.unweighted, parts.recipe("segmenter.transform")
        if head == "tuned_head":
            first = cast("FrozenHeadStage", Pipeline(self.parts.with_frozen_head).segmenter(method))
            return TunedHeadStage(**shared, net=net, head=first, augmentations=augmentations)
        features = FeatureStage(
            **self._shared(), net=net, model=self.classifier(), transform=augmentations,
            size=parts.value("segmenter.size"),
        )  # fmt: skip
        target = parts.value("segmenter.target")
        return FrozenHeadStage(**shared, net=net, features=features, target=target)
