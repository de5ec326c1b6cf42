"""What all stages share: where it is, what it is made from, how it runs and is scored."""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.sources import pairs_of
from oaa_pl.config.sweep import COPIED, FOUND, MADE, running
from oaa_pl.data.source import Source
from oaa_pl.parallel.fan_out import FanOut
from oaa_pl.report.class_results import Scored, write_class_results
from oaa_pl.report.results import Row
from oaa_pl.runs.folders import Run
from oaa_pl.runs.record import StageRecord, read_done, read_files, read_key
from oaa_pl.runs.shared import copy_stage, one_job_at_a_time, twin_of
from oaa_pl.stages.metrics import AddedMetrics
from oaa_pl.stages.parts import Config, Data
from oaa_pl.stages.scores import how_scored, score_folder
from oaa_pl.store.layout import Pairs

__all__ = ["Stage"]

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class Stage(ABC):
    """One step from tags to masks, with a folder of its own.

    Attributes:
        run_folders: of the run, one of which is the stage's.
        data: photos and tags.
        config: written beside the stage's record.
        metrics: scores beside the package's own.
        fan_out: where work is done that is the same for every photo.
        title: name for people.
        folder: its place.
        maker: the command that makes it, for errors of stages that need it.
        needs: the stages whose results it reads.
    """

    noun: ClassVar[str]  # of its input files, in the records of stages that need it
    result: ClassVar[str] = ""  # what is scored, as the scores' names begin

    run_folders: Run
    data: Data
    config: Config = field(default_factory=Config)
    metrics: AddedMetrics = field(default_factory=AddedMetrics)
    fan_out: FanOut = field(default_factory=FanOut)
    title: str = field(init=False)
    folder: Path = field(init=False)
    maker: str = field(init=False)
    needs: tuple["Stage", ...] = field(init=False, default=())

    @abstractmethod
    def key(self) -> dict[str, Any]:
        """What determines its outcome, as plain values; paths and machine apart."""

    def files(self) -> dict[str, str]:
        """Digests of the files that it is made from, by what they are."""
        return {
            name: digest
            for need in self.needs
            for name, digest in read_files(need.folder, need.noun).items()
        }

    @abstractmethod
    def make(self, record: StageRecord, *, alone: bool) -> Mapping[str, Any] | None:
        """Begin the record, and make what the stage makes.

        Args:
            record: of the stage's folder.
            alone: whether this stage is all that the command line runs.

        Returns:
            Facts for `done.json`; None in a process that only helped to train.
        """

    @property
    def finished(self) -> bool:
        """Whether it is complete, whatever it was made from."""
        return (self.folder / "done.json").is_file()

    def record(self) -> StageRecord:
        """The record that its folder has, or will get."""
        return StageRecord(self.folder, self.key(), self.files())

    def run(self, *, alone: bool = True) -> Path:
        """Make the stage; one that is finished is skipped, an interrupted one is resumed.

        Args:
            alone: whether this stage is all that the command line runs.

        Returns:
            The stage's folder.

        Raises:
            MissingInputError: if a stage that it needs is not finished.
            RunMismatchError: if its folder was made from something else.
            StoreError: if another process writes the folder.
        """
        self.require_needs()
        record, sweep = self.record(), running()
        if sweep is None:
            if not record.finished:
                self._make(record, alone=alone)
            return self.folder
        self.run_folders.record_variant(sweep.variant)
        # Another job of the sweep may be making the same stage just now.
        with one_job_at_a_time(json.dumps([record.made_from, record.files], sort_keys=True)):
            how = FOUND if record.finished else COPIED if self._copied(record) else MADE
            if how == MADE:
                self._make(record, alone=alone)
            sweep.journal.note(self.noun, self.folder, how)
        return self.folder

    def _make(self, record: StageRecord, *, alone: bool) -> None:
        with record:
            facts = self.make(record, alone=alone)
            if facts is not None:
                record.finish(**facts)

    @property
    def folders(self) -> list[Path]:
        """Every folder that it makes, its own last."""
        return [self.folder]

    def _copied(self, record: StageRecord) -> bool:
        """Whether another job of the sweep has made the same stage, which is copied now."""
        if (self.folder / LAST).is_file():  # begun here: it is resumed here
            return False
        run = self.run_folders
        seeds = [run.home / run.root.name, *sorted(run.home.glob(f"*/{run.root.name}"))]
        own = [folder.relative_to(run.root) for folder in self.folders]
        whole = [
            seed for seed in seeds if all((seed / place / "done.json").is_file() for place in own)
        ]
        twin = twin_of(record, [seed / own[-1] for seed in whole])
        if twin is None:
            return False
        seed = twin.parents[len(own[-1].parts) - 1]
        # A kill while copying leaves some of them; of another training they must not be replaced.
        here = [place for place in own if (run.root / place / "done.json").is_file()]
        if any(read_key(run.root / place) != read_key(seed / place) for place in here):
            return False
        for place in (place for place in own if place not in here):
            copy_stage(seed / place, run.root / place)
            log.info("%s: copied from %s", run.root / place, seed / place)
        return True

    def require_needs(self) -> None:
        """Refuse to start without the stages that are read.

        Raises:
            MissingInputError: if one is not finished.
        """
        for need in self.needs:
            read_done(need.folder, need.maker)

    @cached_property
    def pairs(self) -> Pairs:
        """The (image, class) pairs of the training photos."""
        return pairs_of(self.data.train)

    # Scores: true masks are read here and in a segmenter's validation, nowhere else.

    @property
    def truth(self) -> Source | None:
        """What its result is scored against; None: it cannot be scored."""
        return None

    @property
    def scored_folder(self) -> Path:
        """Where its scores are."""
        return self.folder

    @property
    def score_settings(self) -> dict[str, Any]:
        """What determines its scores, beside the data: another value scores the stage again."""
        return {}

    @property
    def counted_by(self) -> FanOut:
        """Where its images are counted: here, if `metric=` adds some that depend on their order."""
        return FanOut(workers=1) if self.metrics.key(self.result) else self.fan_out

    def measure(self, truth: Source) -> Iterable[Row]:
        """Score its result.

        Args:
            truth: photos with tags, or with true masks.
        """
        raise NotImplementedError

    def score(self) -> bool:
        """Whether it has scores now: it is scored if it has none yet, or others.

        Raises:
            StoreError: if another process writes the folder.
        """
        truth = self.truth
        if truth is None or not self.finished:
            return False
        score_folder(self.folder, self.how_scored(truth), lambda: self.measure(truth))
        return True

    def how_scored(self, truth: Source, **more: Any) -> dict[str, Any]:
        """What determines its scores, for `scored.json`.

        Args:
            truth: photos with tags, or with true masks.
            **more: further plain values.
        """
        settings = {**self.score_settings, **more, **self.metrics.key(self.result)}
        return how_scored(truth, settings)

    def rows(self, truth: Source, stage: str, method: str, **scores: float) -> list[Row]:
        """Rows of the results table; two underscores stand for the slash of a metric's name."""
        run = self.run_folders
        return [
            Row(run.experiment, run.seed, truth.name, truth.split, stage, method,
                metric.replace("__", "/"), float(value))
            for metric, value in scores.items()
        ]  # fmt: skip

    def write_classes(self, truth: Source, stage: str, method: str, confusion: Tensor) -> None:
        """Write the scores of each class beside the stage's scores.

        Args:
            truth: photos with true masks.
            stage: name of the stage in results.
            method: as in results.
            confusion: pixels counted by (truth, prediction), int64, (C + 1, C + 1).
        """
        run = self.run_folders
        scored = Scored(run.experiment, run.seed, truth.name, truth.split, stage, method)
        write_class_results(self.scored_folder, scored, confusion, truth.classes)
