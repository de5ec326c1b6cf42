"""A method's attention maps: export them from a trained model, and score them against masks."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from oaa_pl.config.recipe import Recipe
from oaa_pl.config.sources import maps_of
from oaa_pl.data.source import Source, fingerprint
from oaa_pl.errors import ConfigError
from oaa_pl.metrics.threshold import require_threshold
from oaa_pl.nets.trunk import trunk_stride
from oaa_pl.report.results import Row
from oaa_pl.runs.record import StageRecord, read_key, write_json
from oaa_pl.stages.counters import StoreCounter
from oaa_pl.stages.counting import counted
from oaa_pl.stages.export import export
from oaa_pl.stages.stage import Stage
from oaa_pl.stages.trained_stage import TrainedStage
from oaa_pl.stages.views import MapViews
from oaa_pl.store.base import MapStore
from oaa_pl.store.layout import Header
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.training.precision import as_trained

__all__ = ["AttentionStage", "Maps"]

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class Maps(Stage):
    """A method's attention maps, by any of the stages that make maps.

    Attributes:
        method: its name.
        made_by: the command that makes them, for errors.
        threshold: attention below it is background in `attention/miou`, in [0, 1].
    """

    noun: ClassVar[str] = "attention"
    result: ClassVar[str] = "attention"

    method: str
    made_by: str = ""
    threshold: float = 0.3

    def __post_init__(self) -> None:
        self.title = f"attention of {self.method}"
        self.folder = self.run_folders.attention(self.method)
        self.maker = self.made_by or f"oaa attend method={self.method}"

    @override
    def key(self) -> dict[str, Any]:
        return read_key(self.folder)

    @override
    def make(self, record: StageRecord, *, alone: bool) -> Mapping[str, Any] | None:
        raise ConfigError(f"the maps of {self.method} are made by {self.maker!r}")

    @property
    @override
    def truth(self) -> Source | None:
        return self.data.train if self.data.train.has_masks else None

    @property
    @override
    def score_settings(self) -> dict[str, Any]:
        exact = round(100 * self.threshold, 9) % 1  # once scored at the nearest hundredth
        return {"threshold": self.threshold, **({"cut": "exactly"} if exact else {})}

    @override
    def measure(self, truth: Source) -> list[Row]:
        """Maps against masks at the fixed threshold and at all others; the best is an oracle."""
        reader = maps_of(truth, self.folder)
        added = self.metrics.begin(self.result, len(truth.classes) + 1)
        threshold = require_threshold(self.threshold)
        counter = StoreCounter(truth, reader, threshold, added.update if added else None)
        metric, fixed = counted(
            counter, len(truth.ids), f"evaluate attention {self.method}", self.counted_by
        )
        curve = metric.curve()
        points = {key: value.tolist() for key, value in curve._asdict().items()}
        write_json(self.folder / "curve.json", points)
        best, nan = curve.best, float("nan")
        scores = fixed.compute()
        self.write_classes(truth, "attention", self.method, fixed.confusion)
        return self.rows(
            truth, "attention", self.method,
            attention__miou=100 * float(scores["miou"]),
            attention__precision=100 * float(scores["precision"]),
            attention__recall=100 * float(scores["recall"]),
            attention__miou_best=nan if best is None else 100 * curve.miou[best],
            attention__miou_held_out=100 * metric.miou(),
            attention__best_threshold=nan if best is None else curve.thresholds[best],
            **added.scores(),
        )  # fmt: skip


@dataclass(kw_only=True, eq=False)
class AttentionStage(Maps):
    """Export a trained model's own maps; without a model, the control that sees no photo.

    The control has full attention everywhere to every tag, so that its proxy labels are what tags
    and background cue give without any attention.

    Attributes:
        grid: cells (h, w) of each map.
        model: the stage whose network makes the maps, or None.
        to_attention: score map to attention, of that network.
        views: at which scales, mirrored or not, that network looks at a photo.
    """

    grid: tuple[int, int]
    model: TrainedStage | None = None
    to_attention: Recipe | None = None
    views: MapViews = field(default_factory=MapViews)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs = () if self.model is None else (self.model,)

    @override
    def key(self) -> dict[str, Any]:
        grid = list(self.grid)
        if self.model is None or self.to_attention is None:
            return {"attention": self.method, "data": fingerprint(self.data.train), "grid": grid}
        return {
            "model": read_key(self.model.folder), "attention": self.to_attention.key, "grid": grid,
            **self.views.key,
        }  # fmt: skip

    @override
    def make(self, record: StageRecord, *, alone: bool) -> Mapping[str, Any] | None:
        pairs, config = self.pairs, self.config.text()
        conversion = None if self.to_attention is None else self.to_attention.name
        # One map per pair: fusing it by maximum with nothing keeps it as it is.
        header = Header(
            classes=pairs.classes,
            fingerprint=pairs.fingerprint,
            grid=self.grid,
            fusion="maximum",
            normalisation=self.views.described(conversion) if conversion else self.method,
        )
        if self.model is not None:
            trainer = as_trained(self.model.trainer, self.model.folder, self.model.net.full_on_cpu)
            config = self.config.text(trainer={"precision": trainer.precision})
        record.begin(config)
        with MemmapStore(record.folder / "store", header, pairs, overwrite=True) as store:
            store.roll_back(0)
            if self.model is None or self.to_attention is None:
                _everywhere(store)
            else:
                net, what = self.model.trained(trainer), f"attend {self.method}"
                stride = trunk_stride(net.get_submodule("net"))  # inside its precision
                photos = self.views.loaders(self.data, self.model.net, stride)
                export(net, photos, store, self.to_attention(), flip=self.views.flip, what=what)
            empty = int((store.state.max(axis=(1, 2, 3)) == 0).sum()) if len(pairs.pairs) else 0
            store.commit()
        return {"pairs": len(pairs.pairs), "empty": empty}


def _everywhere(store: MapStore) -> None:
    """Full attention to every tag, everywhere in the photo: a method must be better than this."""
    image, category = store.pairs.pairs.T
    store.fill(image, category, np.ones((len(image), *store.header.grid), np.float32))
