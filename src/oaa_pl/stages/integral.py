"""Stage 2: train the integral attention model on the cumulative maps.

Source: Jiang et al., ICCV 2019, section 3.3.
"""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig

from oaa_pl.config.factory import factory
from oaa_pl.config.trainer_key import asked_processes
from oaa_pl.data.source import Source
from oaa_pl.modules.integral import IntegralAttention
from oaa_pl.runs.folders import Run
from oaa_pl.runs.inputs import weight_files
from oaa_pl.runs.record import StageRecord, read_done, read_files, read_key
from oaa_pl.stages import build
from oaa_pl.stages.recipe import recipe
from oaa_pl.stages.trained import start_from
from oaa_pl.training.precision import settle
from oaa_pl.training.train import train_stage

__all__ = ["fit_integral"]


def integral_key(cfg: DictConfig, train: Source) -> dict[str, Any]:
    """What determines an integral model."""
    maps = read_key(Run.of(cfg).attention(cfg.integral.soft_labels))
    # How its maps will be read does not change the model.
    trained = {key: value for key, value in build.plain(cfg.integral).items() if key != "attention"}
    loss = {key: value for key, value in build.plain(cfg.loss).items() if key != "oaa_plus"}
    return build.made_from(cfg, train, net="attention", integral=trained, loss=loss, maps=maps)


def fit_integral(cfg: DictConfig, *, alone: bool = True) -> Path:
    """Stage 2: train the integral attention model on the cumulative maps.

    Args:
        cfg: the configuration; `loss` says which one.
        alone: whether this training is all that the command line does.

    Returns:
        The stage's folder.

    Raises:
        MissingInputError: if the cumulative maps are not finished.
        StoreError: if they are of other data, or a pair has none; or another process writes the
            stage's folder.
    """
    run = Run.of(cfg)
    cfg, precision = settle(cfg, run.integral(cfg.loss.name), run.classifier)
    train, _ = build.sources(cfg)
    cfg = build.long_enough(cfg, "integral", len(train.ids))
    source_maps = run.attention(cfg.integral.soft_labels)
    read_done(source_maps, "oaa fit stage=classifier")
    files = weight_files(cfg) | read_files(source_maps, "attention")
    record = StageRecord(
        run.integral(cfg.loss.name), integral_key(cfg, train), files, asked_processes(cfg)
    )
    if record.finished:
        return record.folder
    reader = build.maps_of(train, source_maps)
    classes = len(train.classes)
    pl.seed_everything(cfg.seed, verbose=False)
    module = IntegralAttention(
        start_from(cfg, cfg.integral.init, build.attention_net(cfg, classes)),
        instantiate(cfg.loss.function),
        factory(cfg.integral.optimizer, "integral.optimizer"),
        factory(cfg.integral.schedule, "integral.schedule"),
        channels_last=cfg.net.channels_last,
        recipe=recipe(cfg, "integral", classes),
    )
    data = build.datamodule(cfg, train, None, cfg.integral.batch_size, soft_labels=reader.dense)
    what = f"integral {cfg.loss.name}"
    with record:
        if train_stage(cfg, cfg.integral, what, record, module, data, [], alone, precision):
            record.finish()
    return record.folder
