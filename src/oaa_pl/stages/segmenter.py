"""Stage 3: train a segmentation network on proxy labels.

Source: Jiang et al., ICCV 2019, section 4.1; Table 1 for other networks on the same labels, Table
3 for a share of the labelled images.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback
from torch import nn
from typing_extensions import override

from oaa_pl.callbacks.one_class import WarnIfOneClass
from oaa_pl.callbacks.overlays import Overlays
from oaa_pl.callbacks.progress import bar
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.recipe import Recipe
from oaa_pl.data.constant import Constant
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.source import Source
from oaa_pl.data.subset import Subset, draw_fraction
from oaa_pl.metrics import SegmentationScore
from oaa_pl.modules.segmenter import Segmenter
from oaa_pl.nets.spans import TILE
from oaa_pl.proxy.palette import load_label, save_label
from oaa_pl.report.differences import write_counts
from oaa_pl.report.results import Row
from oaa_pl.runs.inputs import digest_of
from oaa_pl.runs.record import StageRecord, read_key
from oaa_pl.stages.growth import watched_photos
from oaa_pl.stages.label import LabelStage
from oaa_pl.stages.pictures import ProxyPicture
from oaa_pl.stages.scores import score_folder, write_scores
from oaa_pl.stages.trained import Segmenting, label_photo, start_from
from oaa_pl.stages.trained_stage import TrainedStage
from oaa_pl.stages.true_masks import TrueMasks

__all__ = ["SegmenterStage"]

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class SegmenterStage(TrainedStage):
    """Train a segmentation network on a method's proxy labels.

    Attributes:
        labels: what it learns: proxy labels, or the true masks.
        learns: which of the two label maps of a photo: "proxy", or "hard", the plain arg-max, of
            which no pixel is ignored.
        segmenting: how the trained network looks at photos, to be scored.
        fraction: of the labelled images that it trains on, in (0, 1].
        by_photo: whether scores keep the confusion matrix of every photo, for intervals.
        init: "net" or "classifier_trunk": see `start_from`.
    """

    part: ClassVar[str] = "segmenter"
    noun: ClassVar[str] = "segmenter"
    result: ClassVar[str] = "segmentation"

    labels: LabelStage | TrueMasks
    segmenting: Segmenting
    learns: str = "proxy"
    fraction: float = 1.0
    by_photo: bool = False
    init: str = "net"

    def __post_init__(self) -> None:
        self.method, self.needs = self.labels.method, (self.labels,)
        self.folder = self.run_folders.segmenter(self.method)
        # With the network and the share of images, where these are not the run's own.
        self.name = f"segmenter {self.folder.name}"
        self.title = f"{self.recipe.replace('_', ' ') or 'segmenter'} on {self.method}"
        chosen = f" segmenter={self.recipe}" if self.recipe else ""
        self.maker = f"oaa fit stage=segmenter method={self.method}{chosen}"

    @cached_property
    def _photos(self) -> Source:
        train = self.data.train
        if self.fraction == 1:
            return train
        places = draw_fraction(range(len(train.ids)), self.fraction, self.run_folders.seed)
        return Subset(train, places)

    @property
    @override
    def photos(self) -> Source:
        return self._photos

    @property
    def transform(self) -> Recipe:
        """A list of augmentations: how the photos are seen in training."""
        return self.data.segmenter_transform or self.data.train_transform

    @override
    def own_key(self) -> dict[str, Any]:
        # Its network has a place of its own in the key; validation changes nothing but what
        # callbacks see of it.
        own = {"net": None, "weights": None, "fraction": self.fraction, "init": self.init}
        own |= self.learned_key
        if self.validation() and "callbacks" in self.trainer.key.get("trainer", {}):
            own["validate_every"] = self.validate_every
        return {
            "segmenter": {**self.training_key(), **own},
            "transform": self.transform.key,
            "labels": read_key(self.labels.folder),
        }

    @property
    def learned_key(self) -> dict[str, Any]:
        """For the key: which label maps, where these are not the proxy labels."""
        return {} if self.learns == "proxy" else {"learns": self.learns}

    @override
    def initial(self, net: nn.Module) -> nn.Module:
        if str(self.net.weights) != "none" and hasattr(net, "start"):
            log.info("%s: %s", self.name, net.start)
        return start_from(self.init, net, self.run_folders.classifier)

    @override
    def module(self, net: nn.Module) -> Segmenter:
        return Segmenter(
            net, *self.optimisation(), self.classes, channels_last=self.net.channels_last,
            recipe=self.calls(),
        )  # fmt: skip

    @cached_property
    def _proxy(self) -> "ProxyFolder":
        return ProxyFolder(self.labels.folder / self.learns, self.photos.ids)

    @override
    def loaders(self, *, trial: bool = False) -> OaaDataModule:
        val = self.validates_on if self.validation() and not trial else None
        # A constant is brought to the photo's view, as any label is.
        blank = Constant(np.zeros((64, 64), np.uint8))
        return self.data.loaders(
            self.net, self.photos, val, self.planned.batch_size, self.transform,
            proxy_labels=blank if trial else self._proxy,
            val_labels=None if val is None else val.mask,
        )  # fmt: skip

    @override
    def callbacks(self) -> list[Callback]:
        picture, names = ProxyPicture(self.photos, self._proxy), self.photos.classes
        overlays = Overlays("proxy", watched_photos(self.photos), picture, names, once=True)
        return [overlays, WarnIfOneClass()]

    @property
    @override
    def validates_on(self) -> Source | None:
        return self.truth

    @property
    @override
    def truth(self) -> Source | None:
        val = self.data.val
        return val if val is not None and val.has_masks else None

    @property
    @override
    def scored_folder(self) -> Path:
        return self.run_folders.segmentations(self.method)  # its own, or one beside it for a CRF's

    @property
    @override
    def score_settings(self) -> dict[str, Any]:
        views = dict(self.segmenting.views)
        if not views["keep_shape"]:
            del views["keep_shape"]  # scores from before there was a choice stay valid
        tile = self.segmenting.tile
        return {**views, "crf": self.segmenting.crf.key} | (
            # Scores from before there was a choice stay valid here too.
            ({"by_photo": True} if self.by_photo else {}) | ({} if tile == TILE else {"tile": tile})
        )

    @override
    def measure(self, truth: Source) -> list[Row]:
        """Predictions on the validation photos against masks, kept for the report."""
        segment = label_photo(self.segmenting, self.folder / LAST, len(truth.classes))
        ids, folder = len(truth.classes) + 1, self.scored_folder
        score, added = SegmentationScore(ids), self.metrics.begin(self.result, ids)
        by_photo = []
        with bar(len(truth.ids), f"evaluate {self.name}") as progress:
            for index, image_id in enumerate(truth.ids):
                predicted = segment(truth.photo(index))
                label, mask = torch.from_numpy(predicted), torch.from_numpy(truth.mask(index))
                before = score.confusion.clone()
                score.update(label, mask)
                if self.by_photo:
                    by_photo.append((score.confusion - before).numpy())
                added.update(label.long(), mask.long())
                save_label(folder / "predictions" / f"{image_id}.png", predicted)
                progress.update(1)
        if self.by_photo:
            write_counts(folder, truth.ids, np.stack(by_photo))
        scores = {"segmentation__miou": 100 * float(score.compute()["miou"]), **added.scores()}
        self.write_classes(truth, "segmenter", folder.name, score.confusion)
        # With the network, the share of images, the CRF, where these are not the run's own.
        return self.rows(truth, "segmenter", folder.name, **scores)

    @override
    def score(self) -> bool:
        folder, truth = self.scored_folder, self.truth
        if folder == self.folder or truth is None or not self.finished:
            return super().score()
        # Segmentations behind a CRF are beside the network's own, with a record of their own.
        how = self.how_scored(truth, checkpoint=digest_of(self.folder / LAST))
        record = StageRecord(folder, {"segmenter": read_key(self.folder)})
        if record.finished:
            score_folder(folder, how, lambda: self.measure(truth))
            return True
        with record:
            record.begin(self.config.text())
            write_scores(folder, how, lambda: self.measure(truth))
            record.finish()
        return True


class ProxyFolder:
    """Proxy labels by an image's place in the data set.

    Args:
        folder: of `<id>.png`.
        ids: of the data set's images, N.
    """

    def __init__(self, folder: Path, ids: tuple[str, ...]) -> None:
        self.folder, self.ids = folder, ids

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """The label map of one image, (H, W) uint8 in {0..C, 255}."""
        return load_label(self.folder / f"{self.ids[index]}.png")
