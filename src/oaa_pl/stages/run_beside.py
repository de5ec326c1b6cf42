"""A second run beside the first: where it is, what it is called, which photos are in both."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError, MissingInputError, OaaError, RunMismatchError, first_few
from oaa_pl.files.home import expanded_path
from oaa_pl.report.results import read_results
from oaa_pl.runs.folders import Run
from oaa_pl.runs.recorded import recorded_classes
from oaa_pl.stages.run_layers import RunLayers

__all__ = ["RunBeside", "beside_of", "short_names"]

log = logging.getLogger(__name__)

Value = TypeVar("Value")
_KEY = "report.beside"
_STAGES = ("classifier", "attention", "segmenter")


def beside_of(run: Run, folder: Any) -> Run | None:
    """The folders of the run that is to be looked at beside this one.

    Its segmenters have the network, share and CRF of this run's.

    Args:
        run: this run.
        folder: value of `report.beside`: the folder of a seed, or of a run with one seed; None for
            no second run.

    Raises:
        ConfigError: if it is not a path, is this run itself, or has several seeds.
        MissingInputError: if it is not a folder, or has no finished stage.
    """
    if folder is None:
        return None
    if not isinstance(folder, str) or not folder:
        raise ConfigError(f"{_KEY}: expected the folder of a run, got {folder!r}")
    root = expanded_path(folder)
    if not root.is_dir():
        raise MissingInputError(
            f"{_KEY}: {root} is not a folder; give one such as runs/other/seed-1"
        )
    seeds = sorted(path for path in root.glob("seed-*") if path.is_dir())
    if len(seeds) > 1:
        names = first_few([path.name for path in seeds])
        raise ConfigError(f"{_KEY}: {root} has several seeds ({names}); say which: {seeds[0]}")
    root = seeds[0] if seeds else root
    if root.resolve() == run.root.resolve():
        raise ConfigError(f"{_KEY}: {root} is this run itself; give another run or another seed")
    if next(_finished(root), None) is None:
        raise MissingInputError(
            f"{_KEY}: {root} has no finished stage of a run; give the folder of a seed, such as "
            "runs/other/seed-1, and run 'oaa reproduce' for it first"
        )
    return replace(run, root=root, home=root.parent)


def short_names(one: Path, other: Path) -> tuple[str, str]:
    """What tells the folders of two runs apart: their paths, without what both have.

    Examples:
        >>> short_names(Path("runs/maximum/seed-0"), Path("runs/mean/seed-0"))
        ('maximum', 'mean')
        >>> short_names(Path("runs/maximum/seed-0"), Path("runs/maximum/seed-1"))
        ('seed-0', 'seed-1')
    """
    first, second = list(one.resolve().parts), list(other.resolve().parts)
    while len(first) > 1 and len(second) > 1 and first[-1] == second[-1]:
        first, second = first[:-1], second[:-1]
    while len(first) > 1 and len(second) > 1 and first[0] == second[0]:
        first, second = first[1:], second[1:]
    return "/".join(first), "/".join(second)


class RunBeside:
    """What a second run made of the photos that are in both runs.

    What cannot be read is named in a warning and left out.

    Args:
        run: the second run's folders.
        names: what the first run is called on the page, and what this one is.
        train: the first run's training photos.
        val: the first run's validation photos, if there are any.

    Attributes:
        names: as above.
        layers: what it made, photo by photo.
        train: places in `train` of the photos that are in both runs, with the same tags.
        val: places in `val` of the photos that are in both.

    Raises:
        RunMismatchError: if it has other or unknown classes, or not one photo of the first run.
    """

    def __init__(self, run: Run, names: tuple[str, str], train: Source, val: Source | None) -> None:
        self.names = names
        self._unreadable: dict[Path, int] = {}
        self.layers = RunLayers(run, None, self._read)
        _require_classes(self.layers, tuple(train.classes))
        self.train = [one for one in range(len(train.ids)) if self._trained_on(train, one)]
        self.val: list[int] = []
        if val is not None:
            self.layers.scored = [one for one in self.layers.scored if self._scored_on(val, one)]
            folders = [run.segmentations(one) / "predictions" for one in self.layers.scored]
            self.val = [
                place
                for place, image_id in enumerate(val.ids)
                if any((folder / f"{image_id}.png").is_file() for folder in folders)
            ]
        if not self.train and not self.val:
            raise RunMismatchError(
                f"{_KEY}: {run.root} has maps or segmentations of none of this run's photos "
                f"({first_few(train.ids, 3)}); give a run of the same data set"
            )

    def report_unreadable(self) -> None:
        """Log how much could not be read, beside what was named already."""
        for folder, count in self._unreadable.items():
            if count > 1:
                log.warning("skipped: %d files of %s in all", count, folder)

    def _read(self, folder: Path, make: Callable[[], Value]) -> Value | None:
        try:
            return make()
        except (OaaError, OSError) as error:
            count = self._unreadable[folder] = self._unreadable.get(folder, 0) + 1
            if count == 1:
                log.warning("skipped: %s", error)
            return None

    def _trained_on(self, train: Source, place: int) -> bool:
        image_id = train.ids[place]
        for store in self.layers.stores.values():
            index = store.pairs.place_of(image_id)
            if index is not None:
                return np.array_equal(store.pairs.labels[index], train.labels[place] > 0)
        return False

    def _scored_on(self, val: Source, method: str) -> bool:
        """Whether a method's segmentations are of the same data set and split."""
        folder = self.layers.run.segmentations(method)
        rows = self._read(folder, partial(read_results, folder / "metrics.csv")) or []
        other = next(
            ((one.dataset, one.split) for one in rows if (one.dataset, one.split) != _of(val)), None
        )
        if other is not None:
            log.warning("skipped: %s is of %s %s, not of %s %s", folder, *other, *_of(val))
        return bool(rows) and other is None


def _of(source: Source) -> tuple[str, str]:
    return source.name, source.split


def _require_classes(run: RunLayers, classes: tuple[str, ...]) -> None:
    """Refuse a run of other classes: their ids would mean other things.

    Raises:
        RunMismatchError: if something was made with other classes, or nothing names its classes.
    """
    root = run.run.root
    named = {store.path: store.pairs.classes for store in run.stores.values()}
    for done in _finished(root):
        with suppress(MissingInputError):  # exported maps have no record of their classes
            named[done.parent] = recorded_classes(done.parent)
    if not named:
        raise RunMismatchError(f"{_KEY}: no stage of {root} names its classes; give another run")
    for path, others in named.items():
        for place, (other, own) in enumerate(zip_longest(others, classes, fillvalue="none"), 1):
            if other != own:
                raise RunMismatchError(
                    f"{_KEY}: {path} has other classes: class {place} is {other!r} there and "
                    f"{own!r} in this run; give a run of the same classes"
                )


def _finished(root: Path) -> Iterator[Path]:
    return (done for stage in _STAGES for done in sorted((root / stage).rglob("done.json")))
