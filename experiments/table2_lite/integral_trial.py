r"""Trials of the integral model: losses, rates and heads, each scored in every reading.

Each line of the file of trials is a JSON object: `loss` (hybrid, cross_entropy, pooled or none: the
start itself), `lr`, and where they differ from the defaults below `threshold` (cells up to it count
as empty), `layers`, `init`, `maps`, `epochs`. Trained on all photos of the split, scored on every
second one after each epoch; a run of that name has to have a classifier and its maps.

    python experiments/table2_lite/integral_trial.py <trials.txt> <rows.csv> \
        experiment=table2_lite data.root=<voc2012-320> name=<run> data.train_split=<split>

Shapes: B images, C classes, h x w cells.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from readings import COLUMNS, add_rows, read_in_every_way, score_maps
from torch import Tensor

from oaa_pl.attention.view import apply_view
from oaa_pl.config.compose import overridden
from oaa_pl.config.job import run_job
from oaa_pl.config.sources import maps_of
from oaa_pl.losses import hybrid_loss, pooled_hybrid_loss, soft_label_cross_entropy
from oaa_pl.modules.optim import sgd, step_schedule
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.trained import start_from

DEFAULTS: dict[str, Any] = {
    "lr": 1e-3, "threshold": 0.0, "layers": 0, "init": "classifier", "maps": "oaa_max", "epochs": 2,
}  # fmt: skip


def loss_of(name: str, threshold: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss of score map and soft label, (B, C, h, w) both, with weak cells counted as empty."""
    if name == "cross_entropy":
        return soft_label_cross_entropy
    if name == "pooled":
        return lambda scores, soft: pooled_hybrid_loss(scores, soft, threshold)
    # Eqs. (7)-(9) see p only as a weight in N+ and as zero in N-.
    return lambda scores, soft: hybrid_loss(scores, soft.where(soft > threshold, 0))


def run(cfg: DictConfig) -> None:
    """Train and score every trial, one after another."""
    rows, columns = Path(sys.argv[2]), (*COLUMNS[:3], "trial", "epoch", "seconds", *COLUMNS[4:])
    OmegaConf.set_struct(cfg, False)  # not every network's configuration names its layers
    for line in Path(sys.argv[1]).read_text().splitlines():
        trial = DEFAULTS | json.loads(line)
        parts = Configured(overridden(cfg, {"net": {"attention": {"layers": trial["layers"]}}}))
        source, recipe, start = parts.data.train, parts.network("attention"), time.monotonic()
        torch.manual_seed(cfg.seed)
        net = recipe.make(len(source.classes))
        net = start_from(trial["init"], net, parts.run.classifier)
        net = net.to(memory_format=torch.channels_last)
        epochs = 0 if trial["loss"] == "none" else trial["epochs"]
        for epoch in range(epochs + 1):
            if epoch == 1:
                maps = maps_of(source, parts.run.attention(trial["maps"]))
                size = parts.value("integral.batch_size")
                data = parts.data.loaders(recipe, source, None, size, soft_labels=maps.dense)
                loader = data.train_dataloader()
                optimizer = sgd(net, trial["lr"], weight_decay=2e-4)
                schedule = step_schedule(optimizer, epochs * len(loader), [2 / 3])
                loss_function = loss_of(trial["loss"], trial["threshold"])
            if epoch:
                net.train()
                loader.sampler.set_epoch(epoch - 1)  # type: ignore[attr-defined]  # `EpochSampler`
                for batch in loader:
                    score_map = net(batch["image"].to(memory_format=torch.channels_last))
                    grid = (score_map.shape[2], score_map.shape[3])
                    soft = apply_view(batch["soft_label"], batch["view"], grid)
                    loss = loss_function(score_map, soft)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    schedule.step()
            elif epochs:
                continue  # the start itself is a trial of its own
            found = score_maps(parts, net.eval())
            scores = read_in_every_way(parts, (one for one in found if one[0] % 2 == 0))
            of = (cfg.name, cfg.seed, source.split, line, epoch, round(time.monotonic() - start))
            add_rows(rows, columns, [(*of, reading, *row) for reading, row in scores.items()])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    run_job(run, sys.argv[3:])
