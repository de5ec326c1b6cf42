"""`oaa evaluate`: score what a run has made, or a folder of maps, against true masks."""

import logging
import math
import sys
from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig

from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.files.home import expanded_path
from oaa_pl.report.class_results import Scored, write_class_results
from oaa_pl.report.curve_file import write_curve
from oaa_pl.report.differences import write_differences
from oaa_pl.report.results import Row, write_rows
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.dashboard import log_scores
from oaa_pl.stages.given_maps import GivenScores, has_any, score_given
from oaa_pl.stages.pipeline import Pipeline
from oaa_pl.stages.submission import submit

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float | None:
    """Score every finished stage of this run, and gather the results of all its seeds.

    With `maps`, score that folder of maps or label maps instead.

    Returns:
        The run's `optimized_metric`; None if it was not scored.

    Raises:
        MissingInputError: if nothing is finished, or there is nothing to score it against.
    """
    if cfg.maps is not None:
        _score_folder(cfg, expanded_path(cfg.maps))
        return None
    pipeline = Pipeline(cfg)
    if cfg.submission:
        submit(pipeline, cfg.competition)
    scored, run = pipeline.score(), pipeline.parts.run
    if not (scored or cfg.submission):
        raise MissingInputError(
            f"{run.root} has nothing to score: run 'oaa fit' first; without true masks "
            "and without a validation split (data.val) there are no scores"
        )
    if scored:
        pipeline.collect()
        log_scores(pipeline)
        log.info("%s: written", run.home / "results.csv")
        if table := write_differences(run.home):
            log.info("%s: written", table)
    return pipeline.metric(pipeline.scored())


def _score_folder(cfg: DictConfig, folder: Path) -> None:
    """Score a folder of maps; print a table, and write it with the curves."""
    if not folder.is_dir():
        raise MissingInputError(f"maps={folder} is not a folder: give the one that has the maps")
    if not folder.name:
        raise ConfigError(f"maps={folder} is the top of a disk: give the folder of the maps")
    parts = Configured(cfg)
    known = [source for source in parts.data.sources if source is not None]
    found = [source for source in known if has_any(folder, source)]
    if not found:
        splits = ", ".join(f"{source.name}/{source.split}" for source in known)
        image = known[0].ids[0]
        raise MissingInputError(
            f"maps={folder} has no map of any image of {splits}; maps are named like "
            f"{image}_0.png, {image}.npz or {image}.npy, label maps like {image}.png"
        )
    for source in found:
        scores = score_given(folder, source, parts.threshold, parts.fan_out)
        output = parts.run.home / "maps" / folder.name / source.split
        _write(output, parts, source, folder, scores)
        _say(folder, source, scores, parts.threshold)
        sys.stdout.write(f"{output}: results.csv, classes and curves\n")


def _write(
    output: Path, parts: Configured, source: Source, folder: Path, scores: GivenScores
) -> None:
    scored = Scored(
        parts.run.experiment, parts.run.seed, source.name, source.split, scores.kind, folder.name
    )
    rows = [
        # The long table has no infinity: a class without a single hit is undefined there.
        Row(*scored, f"{scores.kind}/{name}", math.nan if math.isinf(value) else value)
        for name, value in scores.values.items()
    ]
    # Written last, so that a folder with it has all files of one scoring, whatever stopped another.
    results = output / "results.csv"
    with suppress(OSError):  # the next write says what is wrong with the folder
        results.unlink(missing_ok=True)
    if scores.confusion is not None:
        write_class_results(output, scored, scores.confusion, source.classes)
    if scores.curve is not None:
        write_curve(output, scores.curve, f"{folder.name}, {source.name}/{source.split}")
    write_rows(results, rows)


def _say(folder: Path, source: Source, scores: GivenScores, threshold: float) -> None:
    at = f", cut at {threshold:g}" if scores.kind == "maps" and source.has_masks else ""
    sys.stdout.write(
        f"{folder}: {scores.kind} of {len(source.ids)} images of {source.name}/{source.split}{at}\n"
    )
    width = max(map(len, scores.values))
    for name, value in scores.values.items():
        sys.stdout.write(f"  {name:<{width}}  {value:8.3f}\n")
