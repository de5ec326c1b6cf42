"""Networks that an earlier stage has trained."""

import pickle
import pkgutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import nn

from oaa_pl.callbacks.checkpoint import LAST
from oaa_pl.commands import build
from oaa_pl.commands.compose import overridden, root_of
from oaa_pl.commands.folders import Run
from oaa_pl.commands.precision import as_trained
from oaa_pl.errors import ConfigError, MissingInputError, WeightsError
from oaa_pl.nets.inference import SegmentPhoto
from oaa_pl.nets.trunk import trunk_stride

__all__ = [
    "label_photo", "load_into", "load_net", "recorded_config", "segment_photo", "start_from",
]  # fmt: skip

LabelPhoto = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

# What a recorded configuration may call: its folder may come from a stranger.
_KNOWN = ("oaa_pl.nets.", "oaa_pl.data.", "oaa_pl.attention.", "torch.nn.", "albumentations.")


def load_net(cfg: DictConfig, folder: Path, classes: int) -> nn.Module:
    """The trained attention network of a stage.

    Args:
        cfg: the configuration that it was trained with.
        folder: the stage's folder.
        classes: C.

    Raises:
        WeightsError: if the checkpoint is missing, damaged, or of another network.
    """
    return load_into(build.attention_net(build.without_weights(cfg), classes), folder / LAST)


def load_into(net: nn.Module, path: Path, prefix: str = "net.") -> nn.Module:
    """Load a stage's checkpoint, or the part of it below `prefix`, into a network.

    Args:
        net: of the same architecture as that part.
        path: the checkpoint.
        prefix: of the names in the checkpoint.

    Raises:
        WeightsError: if the checkpoint is missing, damaged, or of another network.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        inner = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        net.load_state_dict(inner)
    except FileNotFoundError as error:
        raise WeightsError(f"{path} does not exist; train the stage first") from error
    except (  # all that a damaged or foreign file makes torch raise
        OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError, pickle.PickleError,
    ) as error:  # fmt: skip
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{path} is no checkpoint of this network: {reason}") from error
    return net


def start_from(cfg: DictConfig, init: str, net: nn.Module) -> nn.Module:
    """Give a stage's network its first weights.

    Release: every stage starts from the trunk that ImageNet trained. Where nothing was
    pretrained, the classifier's trunk, which has seen tags alone, can take that part.

    Args:
        cfg: the configuration.
        init: "net" leaves the network as it is; "classifier_trunk" copies the trunk of this run's
            classifier, "classifier" the whole of it.
        net: a network with a `trunk`.

    Returns:
        The same network.

    Raises:
        ConfigError: if `init` is something else.
        WeightsError: if the classifier's checkpoint is missing, or of another network.
    """
    checkpoint = Run.of(cfg).classifier / LAST
    if init == "classifier_trunk":
        load_into(net.get_submodule("trunk"), checkpoint, "net.trunk.")
    elif init == "classifier":
        load_into(net, checkpoint)
    elif init != "net":
        raise ConfigError(f"init must be net, classifier or classifier_trunk, got {init!r}")
    return net


def recorded_config(made: Path, *parts: str) -> DictConfig:
    """The configuration that a stage's folder records beside what the stage made.

    Args:
        made: the stage's checkpoint or store.
        parts: keys of the parts that will be instantiated; they may call our parts only.

    Raises:
        MissingInputError: if there is none.
        ConfigError: if it is none, lacks a part, or asks for something else than our parts.
    """
    recorded = made.parent / "config.yaml"
    if not recorded.is_file():
        raise MissingInputError(f"{recorded} is missing; it belongs beside {made.name}")
    try:
        cfg = OmegaConf.load(recorded)
    except Exception as error:  # YAML's own errors have no builtin among their parents
        reason = (str(error) or repr(error)).splitlines()[0]
        raise ConfigError(f"{recorded} cannot be read ({reason}); restore it") from error
    if not isinstance(cfg, DictConfig):
        raise ConfigError(f"{recorded} is no run's configuration but a list; restore it")
    # An older package's record lacks what has come since; that takes its default.
    today = OmegaConf.load(root_of("conf") / "config.yaml")
    defaults = {
        "loader": OmegaConf.select(today, "loader"),
        "integral": {"attention": OmegaConf.select(cfg, "attention")},
    }
    cfg = overridden(OmegaConf.create(defaults), cfg)
    for part in parts:
        node = OmegaConf.select(cfg, part)
        if not OmegaConf.is_config(node):
            raise ConfigError(f"{recorded} is no run's configuration: no {part!r}; restore it")
        _require_known_targets(OmegaConf.to_container(node, resolve=True), recorded)
    return cfg


def _require_known_targets(node: object, recorded: Path) -> None:
    if isinstance(node, dict):
        if "_target_" in node and not _is_known(str(node["_target_"])):
            raise ConfigError(
                f"{recorded} asks to call {node['_target_']!r}, which is no part of ours"
            )
        for value in node.values():
            _require_known_targets(value, recorded)
    elif isinstance(node, list):
        for value in node:
            _require_known_targets(value, recorded)


def _is_known(target: str) -> bool:
    """Whether a dotted name leads to a known part, and not through one to what it imports."""
    if not target.startswith(_KNOWN):
        return False
    try:
        home = getattr(pkgutil.resolve_name(target), "__module__", None)
    except Exception:  # importing a name that is none raises what it likes
        return False
    return f"{home}.".startswith(_KNOWN)


def segment_photo(cfg: DictConfig, checkpoint: Path, classes: int) -> SegmentPhoto:
    """A trained segmenter as a function of a photo.

    Args:
        cfg: the configuration that it was trained with.
        checkpoint: its file.
        classes: C.

    Raises:
        WeightsError: if the checkpoint is missing, damaged, or of another network.
    """
    cfg = as_trained(build.for_segmenter(cfg), checkpoint.parent)
    net = build.segmenter_net(build.without_weights(cfg), classes)
    load_into(net, checkpoint)
    return SegmentPhoto(
        build.on_device(cfg, net),
        cfg.net.mean,
        cfg.net.std,
        size=cfg.evaluate.size,
        scales=list(cfg.evaluate.scales),
        multiple=trunk_stride(net),
        flip=cfg.evaluate.flip,
    )


def label_photo(cfg: DictConfig, checkpoint: Path, classes: int) -> LabelPhoto:
    """A trained segmenter and the configuration's CRF as a function: photo to label (H, W) uint8.

    Args:
        cfg: the configuration that it was trained with.
        checkpoint: its file.
        classes: C.

    Raises:
        WeightsError: if the checkpoint is missing, damaged, or of another network.
        ConfigError: if the CRF's extra is not installed.
    """
    segment, crf = segment_photo(cfg, checkpoint, classes), instantiate(cfg.crf)

    def label(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        ids: NDArray[np.uint8] = crf(photo, segment(photo).numpy()).argmax(axis=0).astype(np.uint8)
        return ids

    return label
