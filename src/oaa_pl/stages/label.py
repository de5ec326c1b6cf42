"""Proxy labels: a method's maps and a background cue, into a label for each photo."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from oaa_pl.callbacks.progress import bar
from oaa_pl.config.recipe import Recipe
from oaa_pl.config.sources import maps_of
from oaa_pl.data.fitness import photo_sizes
from oaa_pl.data.source import Source
from oaa_pl.errors import NoForegroundError, first_few
from oaa_pl.parallel.fan_out import require_visible
from oaa_pl.proxy.background import BackgroundCue, ChecksAhead, ChecksFit
from oaa_pl.proxy.produce import LabelMaker
from oaa_pl.proxy.proposals import no_refinement
from oaa_pl.proxy.rule import ProxyRule
from oaa_pl.report.results import Row
from oaa_pl.runs.inputs import cue_files, proposal_files
from oaa_pl.runs.record import StageRecord, read_key
from oaa_pl.stages.attention import Maps
from oaa_pl.stages.counters import ProxyCounter
from oaa_pl.stages.counting import counted
from oaa_pl.stages.stage import Stage

__all__ = ["LabelStage"]

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class LabelStage(Stage):
    """Make the proxy labels of every training image; what a killed process made is kept.

    Attributes:
        maps: a method's attention maps.
        background: what makes the background cue.
        rule: what makes the rule that joins maps and cue.
        crf: what makes the CRF of the labels.
        refine: what makes the refinement before it; None: no refinement, as in older records.
        workers: that make the labels; one per core if None, on a cluster all.
    """

    noun: ClassVar[str] = "labels"
    result: ClassVar[str] = "proxy"

    maps: Maps
    background: Recipe
    rule: Recipe
    crf: Recipe
    refine: Recipe | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        self.method, self.needs = self.maps.method, (self.maps,)
        self.title, self.maker = f"proxy labels of {self.method}", f"oaa label method={self.method}"
        self.folder = self.run_folders.labels(self.method)

    @override
    def key(self) -> dict[str, Any]:
        # Where a cue is cached, or where saliency maps are, does not change what they are. A model
        # is known by its file's name, as weights are; content is compared by `cue_files`.
        cue = {k: v for k, v in self.background.key.items() if k not in ("cache", "folder")}
        if cue.get("model"):
            cue["model"] = Path(cue["model"]).name
        key = {
            "proxy": self.rule.key,
            "background": cue,
            "crf": self.crf.key,
            "maps": read_key(self.maps.folder),
        }
        if self.refine is not None and self.refine.name != no_refinement.__name__:
            key["refine"] = _without_folder(self.refine.key)
        return key

    @override
    def files(self) -> dict[str, str]:
        # A finished stage is known by what it made: its photos may be gone.
        made = (path.stem for path in (self.folder / "proxy").glob("*.png"))
        ids = made if self.finished else self.data.train.ids
        proposals = proposal_files(self.refine.key, ids) if self.refine else {}
        return cue_files(self.background.key, ids) | proposals | super().files()

    def cue(self) -> BackgroundCue:
        """The background cue, once it is known to have something of use for every photo.

        Raises:
            MissingInputError: if it lacks one.
            BadMaskError: if what it has for one is of another size, or cannot be read.
        """
        cue: BackgroundCue = self.background()
        if isinstance(cue, ChecksAhead):
            cue.require(self.data.train.ids)
        if isinstance(cue, ChecksFit):
            cue.require_fit(photo_sizes(self.data.train))
        return cue

    def refinement(self) -> Any:
        """What refines the labels, once it is known to have proposals of every photo.

        Returns:
            A function of image id, photo and evidence, or None: see `LabelMaker`.

        Raises:
            MissingInputError: if a photo has none.
            ConfigError: if a value of it is out of range.
        """
        refine: Any = None if self.refine is None else self.refine()
        if isinstance(refine, ChecksAhead):
            refine.require(self.data.train.ids)
        return refine

    @override
    def make(self, record: StageRecord, *, alone: bool) -> Mapping[str, Any] | None:
        """Make the labels.

        Raises:
            StoreError: if the maps are of other data, or a pair has none.
            NoForegroundError: if no image has any foreground.
            OutputError: if a label cannot be written, or a process that makes them is killed.
        """
        train = self.data.train
        cue, crf, rule, refine = self.cue(), self.crf(), self.rule(), self.refinement()
        reader = maps_of(train, self.maps.folder)
        record.begin(self.config.text())
        for name in ("proxy", "hard"):
            (self.folder / name).mkdir(exist_ok=True)
        work = LabelMaker(train.ids, train.photo, reader.maps, cue, rule, self.folder, crf, refine)
        fan_out = replace(self.fan_out, workers=self.workers)
        made = []
        with (
            fan_out.results(work, range(len(train.ids))) as labels,
            bar(len(train.ids), f"label {self.method}") as progress,
        ):
            for label in labels:
                made.append(label)
                progress.update(1)
        kinds = ("proxy", "hard")
        require_visible(
            (self.folder / kind / f"{name}.png" for kind in kinds for name in train.ids), "labels"
        )
        empty = sorted(label.image_id for label in made if label.foreground == 0)
        if len(empty) == len(made):
            maps = (reader.maps(place).attention for place in range(len(made)))
            highest = max(float(one.max(initial=0)) for one in maps)
            raise NoForegroundError(
                f"{self.folder}: no image of {train.name}/{train.split} has any foreground left; "
                + _advice(highest, rule)
            )
        if empty:
            # Some of them here; done.json has them all.
            shown = first_few(empty)
            log.warning(
                "%s: %d images without foreground are ignored: %s", self.method, len(empty), shown
            )
        return {
            "images": len(made),
            "ignored_images": empty,
            "foreground": sum(label.foreground for label in made) / len(made),
            "ignored": sum(label.ignored for label in made) / len(made),
        }

    @property
    @override
    def truth(self) -> Source | None:
        return self.data.train if self.data.train.has_masks else None

    @override
    def measure(self, truth: Source) -> list[Row]:
        """Proxy labels against masks, with ignored pixels dropped and with none ignored."""
        ids = len(truth.classes) + 1
        added = {name: self.metrics.begin(self.result, ids) for name in ("proxy", "hard")}
        counts = tuple(one.update_labels for one in added.values() if one)
        counter = ProxyCounter(truth, self.folder, counts)
        scores = counted(counter, len(truth.ids), f"evaluate labels {self.method}", self.counted_by)
        proxy, hard = scores[0].compute(), scores[1].compute()
        self.write_classes(truth, "labels", self.method, scores[0].confusion)
        return self.rows(
            truth, "labels", self.method,
            proxy__miou=100 * float(proxy["miou"]),
            proxy__coverage=100 * float(proxy["coverage"]),
            proxy__miou_hard=100 * float(hard["miou"]),
            **added["proxy"].scores(), **added["hard"].scores("hard"),
        )  # fmt: skip


def _without_folder(key: dict[str, Any]) -> dict[str, Any]:
    """Where proposals are does not change what they are; their content is compared."""
    proposals = {k: v for k, v in key.get("proposals", {}).items() if k != "folder"}
    return {**key, "proposals": proposals}


def _advice(highest: float, rule: ProxyRule) -> str:
    """What to do about labels without any foreground, by the highest attention of all maps."""
    if highest < rule.foreground:
        return (
            f"attention reaches only {highest:.2f}, below proxy.foreground={rule.foreground:g}: "
            "train what made the maps at another rate or for longer, or lower proxy.foreground"
        )
    return (
        f"attention reaches {highest:.2f}, so look at the maps of the background cue, and at "
        f"proxy.minimum_foreground={rule.minimum_foreground:g}"
    )
