"""`oaa attend`: a trained model's own attention maps, into a store."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import nn

from oaa_pl.attention.view import undo_view
from oaa_pl.callbacks.progress import bar
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.source import fingerprint
from oaa_pl.errors import ConfigError
from oaa_pl.runs.folders import Run
from oaa_pl.runs.record import StageRecord, read_done, read_files, read_key
from oaa_pl.stages import build
from oaa_pl.stages.trained import load_net
from oaa_pl.store.base import MapStore
from oaa_pl.store.layout import Header
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.training.precision import as_trained

__all__ = ["attend", "attend_method", "reading_of"]

log = logging.getLogger(__name__)


def attend_method(cfg: DictConfig, method: str) -> Path:
    """Export a method's maps: `cam` from the classifier, `oaa_plus_*` from its integral model.

    `tags` is the control that sees no photo: full attention everywhere to every tag, so that its
    proxy labels are what tags and background cue give without any attention.

    Args:
        cfg: the configuration; for an integral model, `loss` must be the one it was trained with.
        method: whose maps.

    Returns:
        The stage's folder.

    Raises:
        MissingInputError: if the model is not trained yet.
        ConfigError: if the method has no model of its own.
        StoreError: if another process writes the stage's folder.
    """
    model, reading = _model_of(cfg, method), reading_of(cfg, method)
    grid = list(cfg.store.grid)
    if model is None:
        data_set = fingerprint(build.sources(cfg)[0])
        made_from: dict[str, Any] = {"attention": method, "data": data_set, "grid": grid}
        files = {}
    else:
        cfg = as_trained(cfg, model)
        made_from = {"model": read_key(model), "attention": build.plain(reading), "grid": grid}
        files = read_files(model, "classifier" if method == "cam" else "integral model")
    record = StageRecord(Run.of(cfg).attention(method), made_from, files)
    if record.finished:
        return record.folder
    train, _ = build.sources(cfg)
    pairs = build.pairs_of(train)
    # One map per pair: fusing it by maximum with nothing keeps it as it is.
    header = Header(
        classes=pairs.classes,
        fingerprint=pairs.fingerprint,
        grid=tuple(cfg.store.grid),
        fusion="maximum",
        normalisation=reading._target_.rpartition(".")[2] if model else method,
    )
    with record:
        record.begin(cfg)
        with MemmapStore(record.folder / "store", header, pairs, overwrite=True) as store:
            store.roll_back(0)
            if model is None:
                _everywhere(store)
            else:
                net = load_net(cfg, model, len(train.classes))
                data = build.datamodule(cfg, train, None, cfg.loader.eval_batch_size)
                attend(cfg, net, data, store, reading=reading, what=f"attend {method}")
            empty = int((store.state.max(axis=(1, 2, 3)) == 0).sum()) if len(pairs.pairs) else 0
            store.commit()
        record.finish(pairs=len(pairs.pairs), empty=empty)
    return record.folder


def _model_of(cfg: DictConfig, method: str) -> Path | None:
    """Folder of the finished stage whose model makes a method's maps; None if none does."""
    run = Run.of(cfg)
    if method == "tags":
        return None
    if method == "cam":
        model, maker = run.classifier, "oaa fit stage=classifier"
    elif method == cfg.loss.method:
        model, maker = run.integral(cfg.loss.name), f"oaa fit stage=integral loss={cfg.loss.name}"
    else:
        raise ConfigError(
            f"method must be cam, tags or, with loss={cfg.loss.name}, {cfg.loss.method}; got "
            f"{method!r}. Accumulated maps (oaa_max, oaa_mean) are made by 'oaa fit "
            "stage=classifier'"
        )
    read_done(model, maker)
    return model


def _everywhere(store: MapStore) -> None:
    """Full attention to every tag, wherever in the photo: what the maps have to be better than."""
    image, category = store.pairs.pairs.T
    store.fill(image, category, np.ones((len(image), *store.header.grid), np.float32))


def reading_of(cfg: DictConfig, method: str) -> DictConfig:
    """How a method's maps are read from its model's score map: a function to be instantiated."""
    # `get`: the record of an older run has one reading for all.
    integral: DictConfig = cfg.integral.get("attention", cfg.attention)
    return integral if method == cfg.loss.method else cfg.attention


@torch.no_grad()
def attend(
    cfg: DictConfig,
    net: nn.Module,
    data: OaaDataModule,
    store: MapStore,
    *,
    reading: DictConfig | None = None,
    only: NDArray[np.int64] | None = None,
    what: str = "attend",
) -> None:
    """Write a network's attention to every present class into a store, as fallback maps.

    Args:
        cfg: the configuration: device, precision.
        net: images (B, 3, H, W) to score maps (B, C, h, w).
        data: its predict loader reads whole photos.
        store: where the maps go; accepted maps in it are left alone.
        reading: score map to attention, to be instantiated; the classifier's if None.
        only: attend only to these pairs (image, class), (K, 2); to all present ones if None.
        what: shown on the progress bar.
    """
    normalise = instantiate(cfg.attention if reading is None else reading)
    wanted = torch.from_numpy(store.pairs.labels.copy())
    if only is not None:
        wanted = torch.zeros_like(wanted)
        wanted[only[:, 0], only[:, 1]] = True
        if not len(only):
            return
    net = build.on_device(cfg, net)
    device = next(net.parameters()).device
    with bar(len(store.pairs.ids), what) as progress:
        for batch in data.predict_dataloader():
            index = batch["index"]
            present = wanted[index]
            if present.any():
                score_map = net(batch["image"].to(device))
                attention = normalise(score_map).cpu()
                image, category = present.nonzero(as_tuple=True)
                maps, _ = undo_view(
                    attention[image, category], batch["view"][image], store.header.grid
                )
                maps = maps.nan_to_num(0).clamp(0, 1)
                store.fill(index[image].numpy(), category.numpy(), maps.numpy())
            progress.update(len(index))
