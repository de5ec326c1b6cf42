"""Stage 3: train a segmentation network on proxy labels.

Source: Jiang et al., ICCV 2019, section 4.1; Table 1 for other networks on the same labels, Table
3 for a share of the labelled images.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from omegaconf import DictConfig

from oaa_pl.callbacks.overlays import Overlays
from oaa_pl.config.factory import factory
from oaa_pl.config.trainer_key import asked_processes
from oaa_pl.data.source import Source
from oaa_pl.data.subset import Subset, draw_fraction
from oaa_pl.modules.segmenter import Segmenter
from oaa_pl.proxy.palette import load_label
from oaa_pl.runs.folders import Run
from oaa_pl.runs.inputs import weight_files
from oaa_pl.runs.record import StageRecord, read_done, read_files, read_key
from oaa_pl.stages import build
from oaa_pl.stages.pictures import ProxyPicture, watched_images
from oaa_pl.stages.recipe import recipe
from oaa_pl.stages.trained import start_from
from oaa_pl.training.precision import settle
from oaa_pl.training.train import train_stage

__all__ = ["fit_segmenter"]

log = logging.getLogger(__name__)


def segmenter_key(cfg: DictConfig, train: Source, method: str) -> dict[str, Any]:
    """What determines a segmenter; `labels` is the key of its proxy labels."""
    return build.made_from(
        cfg,
        train,
        net="segmenter",
        segmenter=cfg.segmenter,
        transform=cfg.data.segmenter_train_transform,
        labels=read_key(Run.of(cfg).labels(method)),
    )


def fit_segmenter(cfg: DictConfig, method: str, *, alone: bool = True) -> Path:
    """Stage 3: train a segmentation network on a method's proxy labels.

    Args:
        cfg: the configuration.
        method: whose proxy labels.
        alone: whether this training is all that the command line does.

    Returns:
        The stage's folder.

    Raises:
        MissingInputError: if the proxy labels are not finished.
        ConfigError: if `segmenter.net` or `segmenter.fraction` makes no sense.
        StoreError: if another process writes the stage's folder.
    """
    run = Run.of(cfg)
    cfg, precision = settle(build.for_segmenter(cfg), run.segmenter(method), run.classifier)
    train, _ = build.sources(cfg)
    share = cfg.segmenter.fraction
    if share != 1:
        train = Subset(train, draw_fraction(range(len(train.ids)), share, cfg.seed))
    cfg = build.long_enough(cfg, "segmenter", len(train.ids))
    read_done(run.labels(method), f"oaa label method={method}")
    files = weight_files(cfg) | read_files(run.labels(method), "labels")
    record = StageRecord(
        run.segmenter(method), segmenter_key(cfg, train, method), files, asked_processes(cfg)
    )
    if record.finished:
        return record.folder
    proxy = ProxyFolder(run.labels(method) / "proxy", train.ids)
    classes = len(train.classes)
    pl.seed_everything(cfg.seed, verbose=False)
    net = build.segmenter_net(cfg, classes)
    if str(cfg.net.weights) != "none" and hasattr(net, "start"):
        log.info("segmenter %s: %s", method, net.start)
    module = Segmenter(
        start_from(cfg, cfg.segmenter.init, net),
        factory(cfg.segmenter.optimizer, "segmenter.optimizer"),
        factory(cfg.segmenter.schedule, "segmenter.schedule"),
        channels_last=cfg.net.channels_last,
        recipe=recipe(cfg, "segmenter", classes + 1),
    )
    data = build.datamodule(
        cfg, train, None, cfg.segmenter.batch_size,
        transform="segmenter_train_transform", proxy_labels=proxy,
    )  # fmt: skip

    pictures = Overlays("proxy", watched_images(train), ProxyPicture(train, proxy), once=True)
    what = f"segmenter {method}"
    with record:
        if train_stage(
            cfg, cfg.segmenter, what, record, module, data, [pictures], alone, precision
        ):
            record.finish()
    return record.folder


class ProxyFolder:
    """Proxy labels by an image's place in the data set.

    Args:
        folder: of `<id>.png`.
        ids: of the data set's images, N.
    """

    def __init__(self, folder: Path, ids: tuple[str, ...]) -> None:
        self.folder, self.ids = folder, ids

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """The label map of one image, (H, W) uint8 in {0..C, 255}."""
        return load_label(self.folder / f"{self.ids[index]}.png")
