r"""Trials of the integral model: losses, rates and heads, each scored in every reading.

Each line of the file of trials is a JSON object: `loss` (hybrid, cross_entropy, pooled or none: the
start itself), `lr`, and where they differ from the defaults below `threshold` (cells up to it count
as empty), `layers`, `hidden`, `init`, `maps`, `epochs`. Trained on all photos of the split, scored
on every second one after each epoch; a run of that name has to have a classifier and its maps.

    python experiments/table2_lite/integral_trial.py <trials.txt> <rows.csv> \
        experiment=table2_lite data.root=<voc2012-320> name=<run> data.train_split=<split>

Shapes: B images, C classes, h x w cells.
"""

import csv
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from oaa_pl.commands.compose import overridden, run_job
from oaa_pl.commands.folders import Run
from oaa_pl.commands.trained import start_from
from oaa_pl.labels.proxy import make_labels
from oaa_pl.labels.resize import to_photo
from omegaconf import DictConfig, OmegaConf
from readings import COLUMNS, READINGS, Scores
from torch import Tensor, nn

from oaa_pl.attention.view import apply_view, undo_view
from oaa_pl.commands import build
from oaa_pl.data.source import Source
from oaa_pl.losses import hybrid_loss, pooled_hybrid_loss, soft_label_cross_entropy
from oaa_pl.metrics.threshold import cut
from oaa_pl.modules.optim import sgd, step_schedule

DEFAULTS: dict[str, Any] = {
    "lr": 1e-3, "threshold": 0.0, "layers": 0, "hidden": 128, "init": "classifier",
    "maps": "oaa_max", "epochs": 2,
}  # fmt: skip

log = logging.getLogger(__name__)


def loss_of(name: str, threshold: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss of score map and soft label, (B, C, h, w) both, with weak cells counted as empty."""
    if name == "cross_entropy":
        return soft_label_cross_entropy
    if name == "pooled":
        return lambda scores, soft: pooled_hybrid_loss(scores, soft, threshold)
    # Eqs. (7)-(9) see p only as a weight in N+ and as zero in N-.
    return lambda scores, soft: hybrid_loss(scores, soft.where(soft > threshold, 0))


@torch.no_grad()
def score(cfg: DictConfig, net: nn.Module, source: Source) -> dict[str, list[float]]:
    """Scores of every second photo in each reading, and the share of cells above zero."""
    cue, rule = instantiate(cfg.background), instantiate(cfg.proxy)
    scores = {reading: Scores(len(source.classes) + 1) for reading in READINGS}
    positive: list[float] = []
    net.eval()
    for batch in build.datamodule(cfg, source, None, 16).predict_dataloader():
        odd = batch["index"] % 2 == 0
        found = net(batch["image"][odd].to(memory_format=torch.channels_last)).float()
        for index, score_map in zip(batch["index"][odd].tolist(), found, strict=True):
            categories = source.labels[index].nonzero()[0]
            own, mask = score_map[categories], torch.from_numpy(source.mask(index))
            positive.append(float((own > 0).float().mean()))
            saliency = cue(source.ids[index], source.photo(index))
            for reading, read in READINGS.items():
                attention, one = read(own[None])[0], scores[reading]
                one.mean.append(float(attention.mean()))
                views = torch.eye(2, 3).repeat(len(own), 1, 1)
                whole = undo_view(attention, views, tuple(cfg.store.grid))[0].clamp(0, 1).numpy()
                whole = to_photo(whole, (mask.shape[0], mask.shape[1]))
                shown = torch.from_numpy(whole), torch.from_numpy(categories)
                one.curve.update(*shown, mask)
                one.fixed.update(cut(*shown, cfg.evaluate.threshold), mask)
                labels = make_labels(whole, categories, saliency, rule)
                one.hard.update(torch.from_numpy(labels.hard), mask)
                one.proxy.update(torch.from_numpy(labels.proxy), mask)
    net.train()
    share = round(sum(positive) / len(positive), 3)
    return {reading: [*one.row(), share] for reading, one in scores.items()}


def run(cfg: DictConfig) -> None:
    """Train and score every trial, one after another."""
    rows = Path(sys.argv[2])
    source, _ = build.sources(cfg)
    OmegaConf.set_struct(cfg, False)  # a network without layers has no `hidden` to change
    for line in Path(sys.argv[1]).read_text().splitlines():
        trial = DEFAULTS | json.loads(line)
        head = {"layers": trial["layers"]}
        head |= {"hidden": trial["hidden"]} if trial["layers"] else {}
        own = overridden(cfg, {"net": {"attention": head}})
        torch.manual_seed(cfg.seed)
        net = start_from(own, trial["init"], build.attention_net(own, len(source.classes)))
        net = net.to(memory_format=torch.channels_last)
        if trial["loss"] == "none":
            write(rows, cfg, source, line, 0, 0.0, score(own, net, source))
            continue
        reader = build.maps_of(source, Run.of(cfg).attention(trial["maps"]))
        size = cfg.integral.batch_size
        loader = build.datamodule(
            own, source, None, size, soft_labels=reader.dense
        ).train_dataloader()
        optimizer = sgd(net, trial["lr"], weight_decay=2e-4)
        schedule = step_schedule(optimizer, trial["epochs"] * len(loader), [2 / 3])
        loss_function, start = loss_of(trial["loss"], trial["threshold"]), time.monotonic()
        for epoch in range(trial["epochs"]):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # `EpochSampler`
            for batch in loader:
                score_map = net(batch["image"].to(memory_format=torch.channels_last))
                grid = (score_map.shape[2], score_map.shape[3])
                loss = loss_function(
                    score_map, apply_view(batch["soft_label"], batch["view"], grid)
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            seconds = time.monotonic() - start
            write(rows, cfg, source, line, epoch + 1, seconds, score(own, net, source))


def write(
    rows: Path,
    cfg: DictConfig,
    source: Source,
    line: str,
    epoch: int,
    seconds: float,
    scores: dict[str, list[float]],
) -> None:
    """Add a line for each reading to the table."""
    fresh = not rows.is_file()
    columns = (*COLUMNS[:3], "trial", "epoch", "seconds", *COLUMNS[4:])
    with rows.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([columns] if fresh else [])
        for reading, row in scores.items():
            of = (cfg.name, cfg.seed, source.split, line, epoch, round(seconds))
            writer.writerow([*of, reading, *row])
            log.info("%s", [*of, reading, *row])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    run_job(run, sys.argv[3:])
