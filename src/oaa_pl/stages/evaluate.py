"""`oaa evaluate`: score what a run has made against true masks; the only reader of masks.

Each score is a row of `runs/<name>/results.csv`; see DESIGN for the metrics' names.
"""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from oaa_pl.callbacks.checkpoint import LAST
from oaa_pl.data.source import Source, fingerprint
from oaa_pl.metrics.threshold import require_threshold
from oaa_pl.report.results import Row, write_rows
from oaa_pl.runs.folders import Run
from oaa_pl.runs.inputs import digest_of
from oaa_pl.runs.record import StageRecord, read_key, sweep, write_json, writing
from oaa_pl.runs.renamed import today
from oaa_pl.stages import build, scorers
from oaa_pl.stages.views import views_of

__all__ = ["evaluate_run"]

log = logging.getLogger(__name__)

Scorer = Callable[[DictConfig, Run, Path, str, Source], list[Row]]


def evaluate_run(cfg: DictConfig) -> int:
    """Score every finished stage that has no scores yet, or was scored in another way.

    Args:
        cfg: the configuration.

    Returns:
        Number of stages that have scores now.

    Raises:
        ConfigError: if the CRF cannot be made, or a value of `evaluate` is out of range.
        StoreError: if another process writes the folder of a stage that has to be scored.
    """
    run = Run.of(cfg)
    require_threshold(cfg.evaluate.threshold)
    views_of(cfg)
    train, val = build.sources(cfg)
    instantiate(cfg.crf)  # or it would be missed after everything else is scored
    scored = 0
    if val is not None and val.labels.any():
        # Once a class that never occurs counted 0: scores without this word are made again.
        how = {"classes": "that occur"}
        scored += _scored(cfg, run.classifier, scorers.classification, "", val, how)
    for method in cfg.methods:
        if train.has_masks:
            at = {"threshold": cfg.evaluate.threshold}
            if round(100 * cfg.evaluate.threshold, 9) % 1:  # once scored at the nearest hundredth
                at["cut"] = "exactly"
            scored += _scored(cfg, run.attention(method), scorers.attention_maps, method, train, at)
            scored += _scored(cfg, run.labels(method), scorers.proxy_labels, method, train)
        if val is not None and val.has_masks:
            scored += _scored_segmentations(cfg, run, method, val)
    return scored


def _scored(
    cfg: DictConfig,
    folder: Path,
    score: Scorer,
    method: str,
    source: Source,
    settings: Mapping[str, Any] | None = None,
) -> bool:
    """Whether a stage has scores now: one that is finished is scored with these settings."""
    if not (folder / "done.json").is_file():
        return False
    if not _scored_like(folder, _how(source, settings or {})):
        with writing(folder):
            _score(cfg, folder, score, method, source, settings or {})
    return True


def _scored_segmentations(cfg: DictConfig, run: Run, method: str, val: Source) -> bool:
    """Whether a segmenter has scores now, in its own folder or, behind a CRF, in one beside it."""
    trained, folder = run.segmenter(method), run.segmentations(method)
    if not (trained / "done.json").is_file():
        return False
    views = views_of(cfg)
    if not views["keep_shape"]:
        del views["keep_shape"]  # scores from before there was a choice stay valid
    settings = {**views, "crf": build.plain(cfg.crf)}
    if folder == trained:
        return _scored(cfg, folder, scorers.segmentations, method, val, settings)
    settings["checkpoint"] = digest_of(trained / LAST)
    record = StageRecord(folder, {"segmenter": read_key(trained)})
    if record.finished:
        return _scored(cfg, folder, scorers.segmentations, method, val, settings)
    with record:
        record.begin(cfg)
        _score(cfg, folder, scorers.segmentations, method, val, settings)
        record.finish()
    return True


def _score(
    cfg: DictConfig,
    folder: Path,
    score: Scorer,
    method: str,
    source: Source,
    settings: Mapping[str, Any],
) -> None:
    """Score a stage in this way; its folder's lock is held."""
    sweep(folder)
    (folder / "scored.json").unlink(missing_ok=True)  # whatever is overwritten now is no score
    write_rows(folder / "metrics.csv", score(cfg, Run.of(cfg), folder, method, source))
    write_json(folder / "scored.json", _how(source, settings))


def _how(source: Source, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What determines the scores of a stage."""
    return {"split": source.split, "data": fingerprint(source), **settings}


def _scored_like(folder: Path, how: dict[str, Any]) -> bool:
    """Whether a stage has the scores that are asked for; a kill in between leaves it without."""
    try:
        known = today(json.loads((folder / "scored.json").read_text()))
    except (OSError, ValueError):
        return False
    return bool(known == how) and (folder / "metrics.csv").is_file()
