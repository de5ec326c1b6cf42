"""Stage 1: train the classifier while its attention is accumulated.

Source: Jiang et al., ICCV 2019, sections 3.1 and 3.2.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from pytorch_lightning import Callback
from torch import nn
from typing_extensions import override

from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.callbacks.growth import AttentionGrowth
from oaa_pl.callbacks.overlays import Overlays
from oaa_pl.callbacks.progress import bar
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.recipe import Recipe
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.fitness import check_fit
from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError, RunMismatchError
from oaa_pl.losses import image_scores
from oaa_pl.metrics import MeanAveragePrecision
from oaa_pl.modules.classifier import Classifier
from oaa_pl.report.results import Row
from oaa_pl.runs.record import StageRecord
from oaa_pl.stages.export import export
from oaa_pl.stages.growth import watched_photos
from oaa_pl.stages.pictures import CumulativePicture
from oaa_pl.stages.trained_stage import TrainedStage
from oaa_pl.store.fresh import clear_maps
from oaa_pl.store.layout import Header
from oaa_pl.store.memmap import MemmapStore

__all__ = ["ClassifierStage"]

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class ClassifierStage(TrainedStage):
    """Train on tags while accumulating attention; then fill never-accepted pairs.

    Attributes:
        gate: which maps are trusted.
        attention: score map to attention.
        fusions: how each method's maps are fused, by the method.
        grid: cells (h, w) of every cumulative map.
        first_epoch: epochs before this one are not accumulated.
        keep_empty: whether a map with no positive value can be accepted.
        fallback: what a pair gets that no epoch accepted: "final_model" or "last_epoch".
        threshold: attention below it is background on a dashboard's pictures, in [0, 1].
        writer_thread: whether a thread writes the maps; None: with a GPU.
        watched: photos whose maps are kept after each epoch; it changes nothing else.
    """

    part: ClassVar[str] = "classifier"
    noun: ClassVar[str] = "classifier"
    result: ClassVar[str] = "classification"

    gate: Recipe
    attention: Recipe
    fusions: Mapping[str, str]
    grid: tuple[int, int]
    first_epoch: int = 0
    keep_empty: bool = False
    fallback: str = "final_model"
    threshold: float = 0.3
    writer_thread: bool | None = None
    watched: int = 0

    def __post_init__(self) -> None:
        self.name, self.title = "classifier", "classifier, accumulating attention"
        self.folder, self.maker = self.run_folders.classifier, "oaa fit stage=classifier"

    @override
    def own_key(self) -> dict[str, Any]:
        return {
            "classifier": {
                **self.training_key(),
                "first_epoch": self.first_epoch,
                "keep_empty": self.keep_empty,
                "fallback": self.fallback,
                "validate_every": self.validate_every,
            },
            "gate": self.gate.key,
            "fusion": {"stores": dict(self.fusions)},
            "attention": self.attention.key,
            "grid": list(self.grid),
        }

    @property
    @override
    def folders(self) -> list[Path]:
        return [*map(self.run_folders.attention, self.fusions), self.folder]

    @override
    def module(self, net: nn.Module) -> Classifier:
        return Classifier(
            net, *self.optimisation(), self.classes, channels_last=self.net.channels_last,
            recipe=self.calls(),
        )  # fmt: skip

    @override
    def loaders(self, *, trial: bool = False) -> OaaDataModule:
        val = None if trial else self.data.val
        return self.data.loaders(self.net, self.photos, val, self.planned.batch_size)

    @property
    @override
    def validates_on(self) -> Source | None:
        return self.data.val

    @override
    def make(self, record: StageRecord, *, alone: bool) -> Mapping[str, Any] | None:
        if alone:  # or it is done already
            check_fit(self.photos, pixels=False)
        self._require_no_other_maps(record)
        return super().make(record, alone=alone)

    @cached_property
    def accumulation(self) -> AttentionAccumulation:
        """The callback that fills the stores.

        Raises:
            ConfigError: if the last epoch is named, but the length is given in steps: the last
                epoch's number is not known.
        """
        last, epochs = self.fallback == "last_epoch", self.length.epochs
        if last and epochs is None:
            raise ConfigError("classifier.fallback=last_epoch needs classifier.epochs, not steps")
        return AttentionAccumulation(
            {method: self._opener(method) for method in self.fusions},
            gate=self.gate(), to_attention=self.attention(),
            first_epoch=self.first_epoch, keep_empty=self.keep_empty,
            fill_in_epoch=int(epochs) - 1 if last else None, writer_thread=self.writer_thread,
        )  # fmt: skip

    @override
    def callbacks(self) -> list[Callback]:
        first, photos = next(iter(self.fusions)), self.photos
        watched = watched_photos(photos, self.watched)
        picture = CumulativePicture(self.accumulation, first, photos, self.threshold)
        return [
            self.accumulation,
            AttentionGrowth(self.accumulation, watched, self.folder / "growth", first),
            Overlays("attention", watched_photos(photos), picture, photos.classes),
        ]

    @override
    def prepare(self) -> None:
        if not (self.folder / LAST).is_file():
            for method in self.fusions:
                clear_maps(self.run_folders.attention(method))

    @override
    def complete(self, record: StageRecord) -> dict[str, Any]:
        """Fill pairs that no epoch's gate let through, and finish the maps.

        The paper does not say what becomes of them: they get the final model's map, recorded as a
        fallback.
        """
        if record.stopped and self.fallback == "last_epoch":
            log.warning(
                "classifier: the planned last epoch never came, so pairs that no epoch accepted "
                "get the final model's map, as with fallback=final_model"
            )
        # Not the training's loaders: under several processes they hold only this one's share.
        everything = self.data.loaders(self.net, self.photos)
        net = self.trained(self.settled.trainer)
        for method in self.fusions:
            with self._maps_record(method, record) as of_method:
                of_method.begin(self.config_text, classes=list(self.photos.classes))
                with self._opener(method)(resume=True) as store:
                    missing = store.missing()
                    export(
                        net, [everything], store, self.attention(),
                        only=missing, what=f"finalize {method}",
                    )  # fmt: skip
                    store.commit(needed=store.generations())
                of_method.finish(fallback=len(missing), pairs=len(self.pairs.pairs))
        return {}

    def _maps_record(self, method: str, record: StageRecord) -> StageRecord:
        """The record of a method's accumulated maps, by that of the classifier."""
        files = {f"{name} of classifier": digest for name, digest in record.files.items()}
        folder = self.run_folders.attention(method)
        return StageRecord(folder, {"classifier": record.made_from}, files)

    def _require_no_other_maps(self, record: StageRecord) -> None:
        """Refuse to train where the maps are of another run, or would be emptied.

        Raises:
            RunMismatchError: if maps are of another run, or are finished and would be emptied.
        """
        maps = [self._maps_record(method, record) for method in self.fusions]
        finished = [of_method.folder for of_method in maps if of_method.finished]
        if finished and not (record.folder / LAST).is_file():
            raise RunMismatchError(
                f"{finished[0]} holds finished maps, but the checkpoint of their classifier, "
                f"{record.folder / LAST}, is gone; restore it, or remove "
                f"{' and '.join(map(str, finished))} to train the classifier and the maps again"
            )

    def _opener(self, method: str) -> Callable[..., MemmapStore]:
        """What opens the store of a method's maps."""
        header = Header(
            self.pairs.classes, self.pairs.fingerprint, self.grid, self.fusions[method],
            gate=self.gate.name, first_epoch=self.first_epoch, normalisation=self.attention.name,
        )  # fmt: skip
        return partial(
            MemmapStore, self.run_folders.attention(method) / "store", header, self.pairs
        )

    @property
    @override
    def truth(self) -> Source | None:
        val = self.data.val
        return val if val is not None and val.labels.any() else None

    @property
    @override
    def score_settings(self) -> dict[str, Any]:
        # Once a class that never occurs counted 0: scores without this word are made again.
        return {"classes": "that occur"}

    @override
    @torch.no_grad()
    def measure(self, truth: Source) -> list[Row]:
        """Mean average precision on the validation photos."""
        net = self.trained()
        device = next(net.parameters()).device
        metric = MeanAveragePrecision(len(truth.classes))
        added = self.metrics.begin(self.result, len(truth.classes))
        with bar(len(truth.ids), "evaluate classifier") as progress:
            for batch in self.data.loaders(self.net, truth).predict_dataloader():
                score_map = net(batch["image"].to(device))
                probabilities = image_scores(score_map).sigmoid().cpu()
                metric.update(probabilities, batch["labels"])
                added.update(probabilities, batch["labels"].long())
                progress.update(len(batch["index"]))
        scores = {"classification__map": 100 * float(metric.compute()), **added.scores()}
        return self.rows(truth, "classifier", "", **scores)
