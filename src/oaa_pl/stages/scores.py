"""Scores of a finished stage: `metrics.csv`, and `scored.json`, which says how they were made."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from oaa_pl.data.source import Source, fingerprint
from oaa_pl.files.atomic import sweep
from oaa_pl.report.results import Row, write_rows
from oaa_pl.runs.record import write_json, writing
from oaa_pl.runs.renamed import today

__all__ = ["how_scored", "score_folder", "write_scores"]

Measure = Callable[[], Iterable[Row]]


def how_scored(truth: Source, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What determines the scores of a stage.

    Args:
        truth: photos with tags, or with true masks.
        settings: of the measurement, as plain values.
    """
    return {"split": truth.split, "data": fingerprint(truth), **settings}


def score_folder(folder: Path, how: Mapping[str, Any], measure: Measure) -> None:
    """Score a finished stage, unless it has these scores already.

    Args:
        folder: the stage's.
        how: what determines the scores.
        measure: takes them.

    Raises:
        StoreError: if another process writes the folder.
    """
    if not _has_scores(folder, how):
        with writing(folder):
            write_scores(folder, how, measure)


def write_scores(folder: Path, how: Mapping[str, Any], measure: Measure) -> None:
    """Score a stage; its folder's lock is held.

    Args:
        folder: the stage's.
        how: what determines the scores.
        measure: takes them.
    """
    sweep(folder)
    # From here on the folder has no complete score.
    (folder / "scored.json").unlink(missing_ok=True)
    write_rows(folder / "metrics.csv", list(measure()))
    write_json(folder / "scored.json", how)


def _has_scores(folder: Path, how: Mapping[str, Any]) -> bool:
    """Whether a stage has been scored in this way; a kill in between leaves it without."""
    try:
        known = today(json.loads((folder / "scored.json").read_text()))
    except (OSError, ValueError):
        return False
    return bool(known == how) and (folder / "metrics.csv").is_file()
