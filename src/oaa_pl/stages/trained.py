"""Networks that an earlier stage has trained."""

import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import nn

from oaa_pl.callbacks.checkpoint import LAST
from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.ids import IGNORED
from oaa_pl.nets.bands import stretched_label
from oaa_pl.nets.inference import SegmentPhoto
from oaa_pl.nets.trunk import trunk_stride
from oaa_pl.runs.folders import Run
from oaa_pl.stages import build
from oaa_pl.stages.views import views_of
from oaa_pl.training.precision import as_trained

__all__ = [
    "label_photo", "load_into", "load_net", "segment_photo", "start_from",
]  # fmt: skip

log = logging.getLogger(__name__)

LabelPhoto = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

# Values that a CRF gets, H x W x (C + 1): 0.3 GB, and five times as much while it infers. With 21
# labels 3 megapixels; its widths are meant for photos of 500 px.
_CRF_VALUES = 2**26


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
    views = views_of(cfg)
    net = build.segmenter_net(build.without_weights(cfg), classes)
    load_into(net, checkpoint)
    return SegmentPhoto(
        build.on_device(cfg, net),
        cfg.net.mean,
        cfg.net.std,
        **views,
        multiple=trunk_stride(net),
    )


def label_photo(cfg: DictConfig, checkpoint: Path, classes: int) -> LabelPhoto:
    """A trained segmenter and the configuration's CRF as a function: photo to label (H, W).

    A CRF needs all probabilities at once, so a photo that is large for its number of labels gets
    it at a smaller size, and its label is brought to the photo.

    Args:
        cfg: the configuration that it was trained with.
        checkpoint: its file.
        classes: C.

    Raises:
        WeightsError: if the checkpoint is missing, damaged, or of another network.
        ConfigError: if the CRF's extra is not installed, or there are more classes than ids.
    """
    segment, crf = segment_photo(cfg, checkpoint, classes), instantiate(cfg.crf)
    if classes > IGNORED - 1:
        raise ConfigError(f"a label map holds {IGNORED - 1} classes at most, got {classes}")
    if str(cfg.crf._target_).endswith(".no_crf"):
        return segment.label

    def label(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        size = photo.shape[0], photo.shape[1]
        smaller = _within(size, classes + 1)
        if smaller != size:
            log.info("the CRF of %d x %d px is computed at %d x %d px", *size[::-1], *smaller[::-1])
            shrunk = cv2.resize(photo, smaller[::-1], interpolation=cv2.INTER_AREA)
            refined = crf(shrunk.astype(np.uint8, copy=False), segment(photo, smaller).numpy())
            return stretched_label(torch.from_numpy(refined), size)
        refined = crf(photo, segment(photo).numpy())
        ids: NDArray[np.uint8] = refined.argmax(axis=0).astype(np.uint8)
        return ids

    return label


def _within(size: tuple[int, int], labels: int) -> tuple[int, int]:
    """The size at which a CRF of so many labels is computed: the photo's, or one that it can."""
    height, width = size
    if height * width * labels <= _CRF_VALUES:
        return size
    factor = (_CRF_VALUES / (height * width * labels)) ** 0.5
    return max(1, int(height * factor)), max(1, int(width * factor))
