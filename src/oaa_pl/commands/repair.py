"""`oaa store repair`: recompute the damaged rows of a store with the model that made it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from oaa_pl.callbacks.checkpoint import LAST
from oaa_pl.commands import build
from oaa_pl.commands.attend import attend
from oaa_pl.commands.trained import load_into, recorded_config
from oaa_pl.errors import MissingInputError
from oaa_pl.store.base import AttentionStore
from oaa_pl.store.damage import examine
from oaa_pl.store.generation import committed
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import read_identity

__all__ = ["repair"]


def repair(path: Path, checkpoint: Path | None = None) -> list[int]:
    """Commit a generation in which the newest one's damaged rows are a trained model's maps.

    A row of `oaa attend` (`cam`, `oaa_plus_*`) becomes what it was. What epochs accumulated cannot
    be had again: such a row becomes the final classifier's map, recorded as a fallback, as if no
    map had been accepted. All other rows keep every bit.

    Args:
        path: the store's folder inside its run, `<run>/attention/<method>/store`.
        checkpoint: whose maps, with its stage's `config.yaml` beside it; by default that of the
            run's classifier or integral model.

    Returns:
        The rows that were recomputed; none if only a file's frame was damaged, or nothing.

    Raises:
        StoreError: if header or list of images are damaged, or there is no generation.
        MissingInputError: if the run's model is not there.
    """
    header, pairs = read_identity(path)
    if not (known := committed(path)):
        raise MissingInputError(f"{path} has no committed generation, so nothing to repair")
    found = examine(path, known[-1], header, len(pairs.pairs))
    if not found.problems:
        return []
    with MemmapStore(path, header, pairs, recall=False) as store:
        store.state[:], store.rows[:] = found.state, found.rows
        if len(found.damaged):
            _attend(checkpoint or _maker(path), store, found.damaged)
        store.commit(needed=known)
    return [int(row) for row in found.damaged]


def _maker(path: Path) -> Path:
    """Checkpoint of the model whose maps a run's store holds."""
    method, run = path.resolve().parent.name, path.resolve().parents[2]
    for stage in (run / "classifier", *sorted(run.glob("integral/*"))):
        if (stage / LAST).is_file() and (stage / "config.yaml").is_file():
            cfg = OmegaConf.load(stage / "config.yaml")
            own = ("cam", *cfg.fusion.stores) if stage.name == "classifier" else (cfg.loss.method,)
            if method in own:
                return stage / LAST
    raise MissingInputError(
        f"{run} has no trained model of the maps {method!r}; say which with checkpoint=..."
    )


def _attend(checkpoint: Path, store: AttentionStore, rows: NDArray[np.int64]) -> None:
    """Fill rows with the maps of a trained model."""
    cfg = recorded_config(checkpoint, "net.attention", "attention", "data")
    train, _ = build.sources(cfg)
    store.pairs.require_same(build.pairs_of(train), checkpoint.parent)
    net = load_into(build.attention_net(build.without_weights(cfg), len(train.classes)), checkpoint)
    data = build.datamodule(cfg, train, None, cfg.loader.eval_batch_size)
    attend(cfg, net, data, store, only=store.pairs.pairs[rows], what="repair")
