"""`oaa label`: a store of maps and a background cue, into proxy labels."""

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from oaa_pl.callbacks.progress import bar
from oaa_pl.data.fitness import photo_sizes
from oaa_pl.data.source import Source
from oaa_pl.errors import NoForegroundError, OutputError, first_few
from oaa_pl.machine import one_thread_each, usable_cores
from oaa_pl.proxy.background import BackgroundCue, ChecksAhead, ChecksFit
from oaa_pl.proxy.produce import LabelMaker, MadeLabel, join_pool
from oaa_pl.runs.folders import Run
from oaa_pl.runs.inputs import cue_files
from oaa_pl.runs.record import StageRecord, read_done, read_files, read_key
from oaa_pl.stages import build

__all__ = ["label_key", "label_method", "ready_cue"]

log = logging.getLogger(__name__)


def label_key(cfg: DictConfig, method: str) -> dict[str, Any]:
    """What determines a method's proxy labels."""
    cue = OmegaConf.to_container(cfg.background, resolve=True)
    # Where a cue is cached, or where saliency maps lie, does not change what they are. A model is
    # known by its file's name, as weights are; content is compared by `cue_files`.
    plain = {key: value for key, value in cue.items() if key not in ("cache", "folder")}  # type: ignore[union-attr]  # a mapping
    if plain.get("model"):
        plain["model"] = Path(plain["model"]).name
    return {
        "proxy": OmegaConf.to_container(cfg.proxy, resolve=True),
        "background": plain,
        "crf": OmegaConf.to_container(cfg.label.crf, resolve=True),
        "maps": read_key(Run.of(cfg).attention(method)),
    }


def ready_cue(cfg: DictConfig, train: Source) -> BackgroundCue:
    """The background cue, once it is known to have something of use for every photo.

    Args:
        cfg: the configuration.
        train: the photos that it will be asked for.

    Raises:
        MissingInputError: if it lacks one.
        BadMaskError: if what it has for one is of another size, or cannot be read.
    """
    cue: BackgroundCue = instantiate(cfg.background)
    if isinstance(cue, ChecksAhead):
        cue.require(train.ids)
    if isinstance(cue, ChecksFit):
        cue.require_fit(photo_sizes(train))
    return cue


def label_method(cfg: DictConfig, method: str) -> Path:
    """Make the proxy labels of every training image; those that a killed process made are kept.

    Args:
        cfg: the configuration.
        method: whose maps.

    Returns:
        The stage's folder.

    Raises:
        MissingInputError: if the maps are not finished, or the cue lacks an image.
        StoreError: if the maps are of other data, or a pair has none; or another process writes
            the stage's folder.
        NoForegroundError: if no image has any foreground.
        OutputError: if a label cannot be written, or a process that makes them is killed.
    """
    run = Run.of(cfg)
    accumulated = method in cfg.fusion.stores
    maker = "oaa fit stage=classifier" if accumulated else f"oaa attend method={method}"
    read_done(run.attention(method), maker)
    folder = run.labels(method)
    if (folder / "done.json").is_file():
        ids = [path.stem for path in (folder / "proxy").glob("*.png")]
        if _record(cfg, method, ids).finished:
            return folder
    train, _ = build.sources(cfg)
    record = _record(cfg, method, train.ids)
    cue, crf = ready_cue(cfg, train), instantiate(cfg.label.crf)
    reader = build.maps_of(train, run.attention(method))
    with record:
        record.begin(cfg)
        for name in ("proxy", "hard"):
            (record.folder / name).mkdir(exist_ok=True)
        work = LabelMaker(
            train.ids, train.photo, reader.maps, cue, instantiate(cfg.proxy), record.folder, crf
        )
        made = []
        with (
            _workers(cfg.label.workers) as spread,
            bar(len(train.ids), f"label {method}") as progress,
        ):
            for label in spread(work, range(len(train.ids))):
                made.append(label)
                progress.update(1)
        empty = sorted(label.image_id for label in made if label.foreground == 0)
        if len(empty) == len(made):
            raise NoForegroundError(
                f"{record.folder}: no image of {train.name}/{train.split} has any foreground left; "
                "lower proxy.foreground, or look at the background cue"
            )
        if empty:
            # Some of them here; done.json has them all.
            shown = first_few(empty)
            log.warning(
                "%s: %d images without foreground are ignored: %s", method, len(empty), shown
            )
        count = len(made)
        record.finish(
            images=count,
            ignored_images=empty,
            foreground=sum(label.foreground for label in made) / count,
            ignored=sum(label.ignored for label in made) / count,
        )
    return record.folder


def _record(cfg: DictConfig, method: str, ids: Iterable[str]) -> StageRecord:
    run = Run.of(cfg)
    files = cue_files(cfg.background, ids) | read_files(run.attention(method), "attention")
    return StageRecord(run.labels(method), label_key(cfg, method), files)


Spread = Callable[[Callable[[int], MadeLabel], Iterable[int]], Iterator[MadeLabel]]


@contextmanager
def _workers(wanted: int | None) -> Iterator[Spread]:
    """A `map` over that many processes (one per core if None), or over none."""
    count = wanted or usable_cores()
    if count == 1:
        yield map
        return
    # Spawned: a fork of a process that has run torch may inherit a lock that nobody releases.
    context = multiprocessing.get_context("spawn")
    with one_thread_each(), ProcessPoolExecutor(count, context, initializer=join_pool) as pool:
        try:
            yield lambda work, places: pool.map(work, places, chunksize=8)
        except BrokenProcessPool as error:
            raise OutputError(
                "a process that makes labels was killed, perhaps for want of memory; run the same "
                "command again, with fewer of them: label.workers=1"
            ) from error
        except BaseException:
            # Or leaving would wait for every label that is still to be made.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
