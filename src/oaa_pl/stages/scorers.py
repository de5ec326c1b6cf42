"""What `oaa evaluate` computes of each stage: rows of the results table.

Masks are read here and nowhere else.
"""

from pathlib import Path

import torch
from omegaconf import DictConfig

from oaa_pl.callbacks.checkpoint import LAST
from oaa_pl.callbacks.progress import bar
from oaa_pl.data.source import Source
from oaa_pl.losses import image_scores
from oaa_pl.metrics import HeldOutThreshold, MeanAveragePrecision, SegmentationScore
from oaa_pl.metrics.threshold import cut, require_threshold
from oaa_pl.proxy.palette import load_label, save_label
from oaa_pl.proxy.resize import to_photo
from oaa_pl.report.results import Row
from oaa_pl.runs.folders import Run
from oaa_pl.runs.record import write_json
from oaa_pl.stages import build
from oaa_pl.stages.trained import label_photo, load_net
from oaa_pl.training.precision import as_trained

__all__ = ["attention_maps", "classification", "proxy_labels", "segmentations"]


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
def classification(cfg: DictConfig, run: Run, folder: Path, method: str, val: Source) -> list[Row]:
    """Mean average precision of the classifier on the validation photos."""
    net = build.on_device(as_trained(cfg, folder), load_net(cfg, folder, len(val.classes)))
    device = next(net.parameters()).device
    metric = MeanAveragePrecision(len(val.classes))
    data = build.datamodule(cfg, val, None, cfg.loader.eval_batch_size)
    with bar(len(val.ids), "evaluate classifier") as progress:
        for batch in data.predict_dataloader():
            score_map = net(batch["image"].to(device))
            metric.update(image_scores(score_map).sigmoid().cpu(), batch["labels"])
            progress.update(len(batch["index"]))
    score = 100 * float(metric.compute())
    return _rows(cfg, run, val, "classifier", method, classification__map=score)


def attention_maps(
    cfg: DictConfig, run: Run, folder: Path, method: str, train: Source
) -> list[Row]:
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


def proxy_labels(cfg: DictConfig, run: Run, folder: Path, method: str, train: Source) -> list[Row]:
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


def segmentations(cfg: DictConfig, run: Run, folder: Path, method: str, val: Source) -> list[Row]:
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
