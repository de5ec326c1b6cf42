"""From a composed configuration to the objects of a stage: sources, networks, loaders, trainer."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers.logger import Logger
from torch import nn

from oaa_pl.callbacks.checkpoint import AtomicCheckpointIO, epoch_checkpoint
from oaa_pl.callbacks.epoch_seed import EpochSeed
from oaa_pl.callbacks.history import HistoryLogger
from oaa_pl.callbacks.progress import StageProgress
from oaa_pl.callbacks.throughput import Throughput
from oaa_pl.callbacks.wandb import wandb_logger
from oaa_pl.commands.compose import in_sweep, overridden
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.source import Source, fingerprint
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.store.layout import Pairs

__all__ = ["attention_net", "datamodule", "made_from", "pairs_of", "segmenter_net", "sources"]


def sources(cfg: DictConfig) -> tuple[Source, Source | None]:
    """The training source, and the validation source if there is one."""
    return instantiate(cfg.data.train), instantiate(cfg.data.val) if cfg.data.val else None


def pairs_of(source: Source) -> Pairs:
    """The (image, class) pairs of a source."""
    return Pairs(source.ids, source.classes, source.labels.astype(bool))


def attention_net(cfg: DictConfig, classes: int) -> nn.Module:
    """The network of the classifier and of the integral model."""
    net: nn.Module = instantiate(cfg.net.attention)(num_classes=classes)
    return net


def segmenter_net(cfg: DictConfig, classes: int) -> nn.Module:
    """The segmentation network, for C classes and the background."""
    net: nn.Module = instantiate(cfg.net.segmenter)(num_classes=classes + 1)
    return net


def without_weights(cfg: DictConfig) -> DictConfig:
    """The configuration of a network whose weights will come from a checkpoint."""
    return overridden(cfg, {"net": {"weights": "none"}})


def recorded_classes(folder: Path) -> tuple[str, ...]:
    """Names of the foreground classes that a stage was trained on.

    Raises:
        MissingInputError: if the stage's record is missing or has none.
    """
    path = folder / "stage.json"
    try:
        return tuple(json.loads(path.read_text())["classes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingInputError(f"{path} does not name the classes ({error!r})") from error


def view_transform(cfg: DictConfig, name: str) -> ViewTransform:
    """One of the data set's transforms, with the network's normalisation."""
    return ViewTransform(instantiate(cfg.data[name]), cfg.net.mean, cfg.net.std)


def datamodule(
    cfg: DictConfig,
    train: Source,
    val: Source | None,
    batch_size: int,
    *,
    transform: str = "train_transform",
    soft_labels: Callable[[int], NDArray[np.float32]] | None = None,
    proxy_labels: Callable[[int], NDArray[np.uint8]] | None = None,
) -> OaaDataModule:
    """The loaders of a stage.

    Args:
        cfg: the configuration.
        train: photos and tags to train on.
        val: photos and tags to validate on, or None.
        batch_size: of training, per process.
        transform: which of the data set's transforms training uses.
        soft_labels: index to cumulative attention (C, h, w), for the integral model.
        proxy_labels: index to label map (H, W), for the segmenter.
    """
    return OaaDataModule(
        train,
        val,
        view_transform(cfg, transform),
        view_transform(cfg, "eval_transform"),
        batch_size,
        num_workers=cfg.loader.num_workers,
        seed=cfg.seed,
        soft_labels=soft_labels,
        proxy_labels=proxy_labels,
        eval_batch_size=cfg.loader.eval_batch_size,
    )


def trainer(
    cfg: DictConfig,
    stage: DictConfig,
    what: str,
    folder: Path,
    callbacks: Sequence[Callback],
    *,
    alone: bool,
    **more: Any,
) -> tuple[Trainer, list[Logger]]:
    """A trainer that checkpoints each epoch, logs, and repeats exactly what it is told to.

    Args:
        cfg: the configuration.
        stage: the stage's part of it: `epochs`, `steps`.
        what: the stage's name, for the progress bar and the run's name.
        folder: the stage's folder.
        callbacks: the stage's own.
        alone: whether this training is all that the command line does.
        **more: further arguments of the trainer.
    """
    settings = OmegaConf.to_container(cfg.trainer, resolve=True)
    if not isinstance(settings, dict):
        raise ConfigError(f"trainer must be a mapping, got {settings!r}; say trainer=cpu|gpu|ddp")
    if settings.get("strategy") == "ddp" and (in_sweep() or not alone):
        # `ddp` starts its other processes by repeating the command line: every job of a sweep and
        # every stage of a pipeline would be repeated with it.
        settings["strategy"] = "ddp_spawn"
    if stage.epochs < 1 and stage.steps < 1:
        raise ConfigError(f"{what}: epochs or steps must be 1 or more, got both below")
    loggers: list[Logger] = [HistoryLogger(folder)]
    if cfg.logger.wandb is not None:
        loggers.append(wandb_logger(cfg.logger.wandb, folder, f"{cfg.name} seed {cfg.seed} {what}"))
    built: Trainer = instantiate(
        settings,
        max_epochs=stage.epochs,
        max_steps=stage.steps,
        logger=loggers,
        callbacks=[
            *callbacks,
            EpochSeed(cfg.seed),
            Throughput(),
            StageProgress(what),
            LearningRateMonitor("epoch"),
            epoch_checkpoint(folder),
        ],
        plugins=[AtomicCheckpointIO()],
        use_distributed_sampler=False,  # the loaders have split the images already
        num_sanity_val_steps=0,
        enable_progress_bar=False,  # StageProgress shows one for the whole stage
        enable_model_summary=False,
        default_root_dir=folder,
        **more,
    )
    return built, loggers


def made_from(cfg: DictConfig, train: Source, **parts: Any) -> dict[str, Any]:
    """What determines a stage's outcome, paths and machine apart.

    Args:
        cfg: the configuration.
        train: the training source, by its fingerprint.
        **parts: the stage's own parts: configuration nodes and plain values.
    """
    plain = {
        name: OmegaConf.to_container(part, resolve=True) if OmegaConf.is_config(part) else part
        for name, part in parts.items()
    }
    network = OmegaConf.to_container(cfg.net, resolve=True)
    return {
        "seed": cfg.seed,
        "data": fingerprint(train),
        "input": [cfg.data.input_size, str(cfg.data.train_transform), str(cfg.data.eval_transform)],
        "net": _without_paths(network),
        "precision": cfg.trainer.precision,
        **plain,
    }


def _without_paths(node: Any) -> Any:
    """A record in which weights are known by their file's name, wherever the file lies."""
    if isinstance(node, dict):
        return {
            key: Path(value).name if key == "weights" else _without_paths(value)
            for key, value in node.items()
        }
    return node
