"""`oaa evaluate`: score what a run has made against true masks; the only reader of masks.

Each score is a row of `runs/<name>/results.csv`; see DESIGN for the metrics' names.
"""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from oaa_pl.callbacks.checkpoint import LAST
from oaa_pl.callbacks.progress import bar
from oaa_pl.commands import build
from oaa_pl.commands.folders import Run
from oaa_pl.commands.inputs import digest_of
from oaa_pl.commands.record import StageRecord, read_key, sweep, write_json
from oaa_pl.commands.submission import submit
from oaa_pl.commands.trained import label_photo, load_net
from oaa_pl.commands.views import views_of
from oaa_pl.data.source import Source, fingerprint
from oaa_pl.errors import MissingInputError
from oaa_pl.labels.palette import load_label, save_label
from oaa_pl.labels.resize import to_photo
from oaa_pl.losses import image_scores
from oaa_pl.metrics import HeldOutThreshold, MeanAveragePrecision, SegmentationScore
from oaa_pl.metrics.threshold import cut, require_threshold
from oaa_pl.report.results import Row, collect, write_rows

__all__ = ["evaluate_run", "run"]

log = logging.getLogger(__name__)

Scorer = Callable[[DictConfig, Run, Path, str, Source], list[Row]]


def run(cfg: DictConfig) -> None:
    """Score every finished stage of this run, and gather the results of all its seeds.

    Raises:
        MissingInputError: if nothing is finished, or there is nothing to score it against.
    """
    if cfg.submission:
        submit(cfg)
    scored = evaluate_run(cfg)
    home = Run.of(cfg).home
    if not (scored or cfg.submission):
        raise MissingInputError(
            f"{Run.of(cfg).root} has nothing to score: run 'oaa fit' first; without true masks "
            "and without a validation split (data.val) there are no scores"
        )
    if scored:
        collect(home)
        log.info("%s: written", home / "results.csv")


def evaluate_run(cfg: DictConfig) -> int:
    """Score every finished stage that has no scores yet, or was scored in another way.

    Args:
        cfg: the configuration.

    Returns:
        Number of stages that have scores now.

    Raises:
        ConfigError: if the CRF cannot be made, or a value of `evaluate` is out of range.
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
        scored += _scored(cfg, run.classifier, _classification, "", val, how)
    for method in cfg.methods:
        if train.has_masks:
            at = {"threshold": cfg.evaluate.threshold}
            if round(100 * cfg.evaluate.threshold, 9) % 1:  # once scored at the nearest hundredth
                at["cut"] = "exactly"
            scored += _scored(cfg, run.attention(method), _attention, method, train, at)
            scored += _scored(cfg, run.labels(method), _labels, method, train)
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
        return _scored(cfg, folder, _segmenter, method, val, settings)
    settings["checkpoint"] = digest_of(trained / LAST)
    record = StageRecord(folder, {"segmenter": read_key(trained)})
    new = not record.finished
    if new:
        record.begin(cfg)
    _score(cfg, folder, _segmenter, method, val, settings)
    if new:
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
    """Score a stage, unless it was, in this way."""
    how = {"split": source.split, "data": fingerprint(source), **settings}
    if _scored_like(folder, how):
        return
    sweep(folder)
    (folder / "scored.json").unlink(missing_ok=True)  # whatever is overwritten now is no score
    write_rows(folder / "metrics.csv", score(cfg, Run.of(cfg), folder, method, source))
    write_json(folder / "scored.json", how)


def _scored_like(folder: Path, how: dict[str, Any]) -> bool:
    """Whether a stage has the scores that are asked for; a kill in between leaves it without."""
    try:
        known = json.loads((folder / "scored.json").read_text())
    except (OSError, ValueError):
        return False
    return bool(known == how) and (folder / "metrics.csv").is_file()


def _rows(
    cfg: DictConfig, run: Run, source: Source, stage: str, method: str, **scores: float
) -> list[Row]:
    """Rows of the results table; two underscores in a keyword stand for the metric's slash."""
    return [
        Row(run.experiment, cfg.seed, source.name, source.split, stage, method,
            metric.replace("__", "/"), float(value))
        for metric, value in scores.items()
    ]  # fmt: skip


@torch.no_grad()
def _classification(cfg: DictConfig, run: Run, folder: Path, method: str, val: Source) -> list[Row]:
    """Mean average precision of the classifier on the validation photos."""
    net = build.on_device(cfg, load_net(cfg, folder, len(val.classes)))
    device = next(net.parameters()).device
    metric = MeanAveragePrecision(len(val.classes))
    data = build.datamodule(cfg, val, None, cfg.loader.eval_batch_size)
    half = "bf16" in cfg.trainer.precision
    with bar(len(val.ids), "evaluate classifier") as progress:
        for batch in data.predict_dataloader():
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                score_map = net(batch["image"].to(device))
            metric.update(image_scores(score_map).sigmoid().cpu(), batch["labels"])
            progress.update(len(batch["index"]))
    score = 100 * float(metric.compute())
    return _rows(cfg, run, val, "classifier", method, classification__map=score)


def _attention(cfg: DictConfig, run: Run, folder: Path, method: str, train: Source) -> list[Row]:
    """Maps against masks at every threshold; the best one of the same images is an oracle's."""
    reader = build.maps_of(train, folder)
    threshold = require_threshold(cfg.evaluate.threshold)
    ids = len(train.classes) + 1
    metric, fixed = HeldOutThreshold(ids), SegmentationScore(ids)
    with bar(len(train.ids), f"evaluate attention {method}") as progress:
        for index in range(len(train.ids)):
            truth = train.mask(index)
            categories, attention = reader.maps(index)
            whole = to_photo(attention, (truth.shape[0], truth.shape[1]))
            shown = torch.from_numpy(whole), torch.from_numpy(categories)
            metric.update(*shown, torch.from_numpy(truth))
            fixed.update(cut(*shown, threshold), torch.from_numpy(truth))
            progress.update(1)
    curve = metric.curve()
    write_json(folder / "curve.json", {key: v.tolist() for key, v in curve._asdict().items()})
    best, nan = curve.best, float("nan")
    scores = fixed.compute()
    return _rows(
        cfg, run, train, "attention", method,
        attention__miou=100 * float(scores["miou"]),
        attention__precision=100 * float(scores["precision"]),
        attention__recall=100 * float(scores["recall"]),
        attention__miou_best=nan if best is None else 100 * curve.miou[best],
        attention__miou_held_out=100 * metric.miou(),
        attention__best_threshold=nan if best is None else curve.thresholds[best],
    )  # fmt: skip


def _labels(cfg: DictConfig, run: Run, folder: Path, method: str, train: Source) -> list[Row]:
    """Proxy labels against masks, with ignored pixels dropped and with none ignored."""
    scores = {name: SegmentationScore(len(train.classes) + 1) for name in ("proxy", "hard")}
    with bar(len(train.ids), f"evaluate labels {method}") as progress:
        for index, image_id in enumerate(train.ids):
            truth = torch.from_numpy(train.mask(index))
            for name, score in scores.items():
                made = load_label(folder / name / f"{image_id}.png")
                score.update(torch.from_numpy(made), truth)
            progress.update(1)
    proxy, hard = scores["proxy"].compute(), scores["hard"].compute()
    return _rows(
        cfg, run, train, "labels", method,
        proxy__miou=100 * float(proxy["miou"]),
        proxy__coverage=100 * float(proxy["coverage"]),
        proxy__miou_hard=100 * float(hard["miou"]),
    )  # fmt: skip


def _segmenter(cfg: DictConfig, run: Run, folder: Path, method: str, val: Source) -> list[Row]:
    """Predictions on the validation photos against masks; a few are kept for the report."""
    segment = label_photo(cfg, run.segmenter(method) / LAST, len(val.classes))
    score = SegmentationScore(len(val.classes) + 1)
    with bar(len(val.ids), f"evaluate segmenter {method}") as progress:
        for index, image_id in enumerate(val.ids):
            predicted = segment(val.photo(index))
            score.update(torch.from_numpy(predicted), torch.from_numpy(val.mask(index)))
            save_label(folder / "predictions" / f"{image_id}.png", predicted)
            progress.update(1)
    miou = 100 * float(score.compute()["miou"])
    # With the network, the share of images, the CRF, where these are not the run's own.
    return _rows(cfg, run, val, "segmenter", folder.name, segmentation__miou=miou)
