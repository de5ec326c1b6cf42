"""`oaa store repair`: recompute the damaged rows of a store with the model that made it."""

from collections.abc import Callable, Collection
from pathlib import Path

from omegaconf import DictConfig
from torch import Tensor, nn

from oaa_pl.callbacks.generations import generations_in
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.sources import pairs_of
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.errors import MissingInputError, StoreError, StoreMismatchError
from oaa_pl.runs.recorded import recorded_config
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.export import export
from oaa_pl.stages.trained import load_into, ready
from oaa_pl.store.damage import Findings, examine
from oaa_pl.store.generation import committed
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import read_identity

__all__ = ["advice", "repair"]


def repair(path: Path, checkpoint: Path | None = None) -> Findings:
    """Commit a generation in which the newest one's damaged rows are a trained model's maps.

    A row of `oaa attend` (`cam`, `oaa_plus_*`) becomes what it was. What epochs accumulated cannot
    be had again: such a row becomes the final classifier's map, recorded as a fallback, as if no
    map had been accepted. All other rows keep every bit, and all older generations stay.

    Args:
        path: the store's folder inside its run, `<run>/attention/<method>/store`.
        checkpoint: whose maps, with its stage's `config.yaml` beside it; by default that of the
            run's model which made the store.

    Returns:
        What was wrong with the newest generation. Where no row is damaged, no model is needed;
        where there is no problem, nothing is committed.

    Raises:
        StoreError: if the header or the list of images is damaged, the store has no generation
            or is in use, or an unfinished training still needs one of its generations.
        StoreMismatchError: if the model is of another data set, or makes another kind of maps.
        MissingInputError: if the model or its configuration is not there.
        WeightsError: if the checkpoint is damaged, or of another network.
        ConfigError: if the recorded configuration is damaged, or calls code that is not ours.
    """
    header, pairs = read_identity(path)
    known = committed(path)
    if not known:
        raise StoreError(f"{path} has no committed generation, so there is nothing to repair")
    found = examine(path, known[-1], header, pairs.count)
    if not found.problems:
        return found
    if _resumed_from(path) is not None:
        raise StoreError(
            f"{path}: generation {known[-1]} is damaged; {advice(path, known[-1:], known[-1])}"
        )
    # Before the store is opened: what is missing or foreign must not touch it.
    model = _model(path, header, pairs, checkpoint) if len(found.damaged) else None
    with MemmapStore(path, header, pairs, overwrite=True) as store:
        store.replace(found.state, found.rows)
        if model is not None:
            net, data, read = model
            export(net, [data], store, read, only=pairs.pairs[found.damaged], what="repair")
        store.commit(needed=known)
    return found


def advice(path: Path, damaged: Collection[int], newest: int) -> str:
    """What to do about damaged generations of a store; empty if nothing reads them any more.

    Args:
        path: the store's folder.
        damaged: their numbers.
        newest: the newest generation, the only one that a finished run reads.

    Raises:
        WeightsError: if a training's checkpoint cannot be read.
    """
    needed = _resumed_from(path)
    if needed in damaged:
        return (
            f"its training is not finished and can only continue from generation {needed}: "
            f"restore that from a copy, or remove {_run_of(path) / 'classifier'} and train again"
        )
    if newest not in damaged:
        return ""
    if needed is not None:
        return (
            f"resume its training, which continues from generation {needed} and makes the damaged "
            "one again"
        )
    return f"'oaa store repair {path}' recomputes its damaged rows"


def _run_of(path: Path) -> Path:
    """Folder of the run that a store belongs to, if it belongs to one."""
    return path.resolve().parent.parent.parent


def _resumed_from(path: Path) -> int | None:
    """The generation that an unfinished training's checkpoint names; None if it names none."""
    method, stage = path.resolve().parent.name, _run_of(path) / "classifier"
    if not (stage / LAST).is_file() or (stage / "done.json").is_file():
        return None
    return generations_in(stage / LAST).get(method)


def _model(
    path: Path, header: Header, pairs: Pairs, checkpoint: Path | None
) -> tuple[nn.Module, OaaDataModule, Callable[[Tensor], Tensor]]:
    """Network, photos and conversion to attention that make a store's maps."""
    parts = ("net.attention", "attention", "integral.attention", "data")
    if checkpoint is not None:
        if not checkpoint.is_file():
            raise MissingInputError(f"checkpoint: {checkpoint} does not exist")
        cfg = recorded_config(checkpoint, *parts)
    elif (path.resolve().parent / "config.yaml").is_file():
        cfg = recorded_config(path.resolve(), *parts)
        checkpoint = _stage_of(cfg, path) / LAST
        if not checkpoint.is_file():
            raise MissingInputError(f"{checkpoint} does not exist; say which with checkpoint=...")
    else:
        raise MissingInputError(
            f"{path} is not in a finished run, so the model that made it is not known; give "
            "it with checkpoint=..."
        )
    made, method = Configured(cfg), path.resolve().parent.name
    # How the model's score map is read is the store's own matter.
    to_attention = made.recipe("integral.attention" if method == made.loss.method else "attention")
    if header.normalisation not in (to_attention.name, "unknown"):
        raise StoreMismatchError(
            f"{checkpoint} makes maps by {to_attention.name}, {path} holds maps by "
            f"{header.normalisation}; give another checkpoint, or, if its maps are of several "
            f"views, remove {path.parent} and run 'oaa attend' again"
        )
    train, net = made.data.train, made.network("attention")
    pairs.require_same(pairs_of(train), path)
    module = load_into(net.unweighted.make(len(train.classes)), checkpoint)
    return ready(module, net, made.trainer), made.data.loaders(net, train), to_attention()


def _stage_of(cfg: DictConfig, path: Path) -> Path:
    """Folder of the stage whose model fills a store of its run; as in `oaa attend`."""
    method, run = path.resolve().parent.name, _run_of(path)
    if method == cfg.loss.method:
        return run / "integral" / str(cfg.loss.name)
    if method == "cam" or method in cfg.fusion.stores:
        return run / "classifier"
    raise MissingInputError(
        f"{path}: no model of its run is known to make maps {method!r}; say which with "
        "checkpoint=..."
    )
