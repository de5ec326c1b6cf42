"""Networks that an earlier stage has trained."""

from pathlib import Path

from omegaconf import DictConfig
from torch import nn

from oaa_pl.callbacks.checkpoint import LAST
from oaa_pl.errors import ConfigError
from oaa_pl.nets.checkpoint import load_into
from oaa_pl.prediction.photo_labels import label_photo, segment_photo
from oaa_pl.runs.folders import Run
from oaa_pl.stages import build

__all__ = [
    "label_photo", "load_into", "load_net", "segment_photo", "start_from",
]  # fmt: skip


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
