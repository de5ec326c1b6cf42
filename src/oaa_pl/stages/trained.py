"""Networks that an earlier stage has trained."""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.recipe import Recipe
from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.ids import IGNORED
from oaa_pl.nets.folded import folded
from oaa_pl.nets.inference import SegmentPhoto
from oaa_pl.nets.precision import InPrecision
from oaa_pl.nets.spans import TILE
from oaa_pl.nets.trunk import trunk_stride
from oaa_pl.stages.parts import Network
from oaa_pl.stages.refined import RefinedSegmenter
from oaa_pl.training.device import device_of
from oaa_pl.training.precision import as_trained, trained_precision
from oaa_pl.training.trainer_plan import TrainerPlan

__all__ = [
    "Segmenting", "label_photo", "load_into", "ready", "refined_segmenter", "segment_photo",
    "start_from",
]  # fmt: skip

LabelPhoto = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@dataclass(frozen=True)
class Segmenting:
    """How a trained segmenter looks at photos.

    Attributes:
        net: its network.
        trainer: its device and precision.
        views: arguments of `SegmentPhoto`: `size`, `keep_shape`, `scales`, `flip`.
        crf: what makes the CRF that refines its segmentations.
        tile: longest side in pixels of what the network gets at once; None: any.
    """

    net: Network
    trainer: TrainerPlan
    views: Mapping[str, Any]
    crf: Recipe
    tile: int | None = TILE


def ready(module: nn.Module, net: Network, trainer: TrainerPlan) -> nn.Module:
    """A trained network ready to be called: on its device, in its memory format and precision.

    Where it computes in float32, its batch norms are folded into its convolutions, which changes
    its answers by rounding alone and is a sixth quicker on a CPU.

    Args:
        module: images (B, 3, H, W) to maps (B, C, h, w).
        net: what made it.
        trainer: its device; its precision is the network's own.

    Returns:
        The same, not training; its answers are float32.

    Raises:
        ConfigError: if there is no such precision or device, or it cannot compute in the precision.
    """
    device = device_of(trainer.settings)
    layout = torch.channels_last if net.channels_last else torch.contiguous_format
    # Not `net.to(device, memory_format=...)`: its annotation knows only one of the two.
    moved = module.to(device).to(memory_format=layout).eval()
    precision = trained_precision(trainer.precision, device.type)
    plain = precision.lower is None and precision.weights is torch.float32
    return InPrecision(folded(moved) if plain else moved, precision).eval()


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
        raise WeightsError(f"{path} is not a checkpoint of this network: {reason}") from error
    return net


def start_from(init: str, net: nn.Module, classifier: Path) -> nn.Module:
    """Give a stage's network its first weights.

    Release: every stage starts from the trunk that ImageNet trained. Where nothing was
    pretrained, the classifier's trunk, which has seen tags alone, can take that part.

    Args:
        init: "net" leaves the network as it is; "classifier_trunk" copies the trunk of this run's
            classifier, "classifier" the whole of it.
        net: a network with a `trunk`.
        classifier: folder of the run's classifier.

    Returns:
        The same network.

    Raises:
        ConfigError: if `init` is something else.
        WeightsError: if the classifier's checkpoint is missing, or of another network.
    """
    checkpoint = classifier / LAST
    if init == "classifier_trunk":
        load_into(net.get_submodule("trunk"), checkpoint, "net.trunk.")
    elif init == "classifier":
        load_into(net, checkpoint)
    elif init != "net":
        raise ConfigError(f"init must be net, classifier or classifier_trunk, got {init!r}")
    return net


def segment_photo(segmenting: Segmenting, checkpoint: Path, classes: int) -> SegmentPhoto:
    """A trained segmenter as a function of a photo.

    Args:
        segmenting: how it looks at photos.
        checkpoint: its file.
        classes: C.

    Raises:
        WeightsError: if the checkpoint is missing, damaged, or of another network.
        ConfigError: if `segmenting.tile` is not a positive whole number.
    """
    net = segmenting.net
    trainer = as_trained(segmenting.trainer, checkpoint.parent, net.full_on_cpu)
    module = net.unweighted.make(classes)
    load_into(module, checkpoint)
    return SegmentPhoto(
        ready(module, net, trainer),
        net.mean,
        net.std,
        **segmenting.views,
        multiple=trunk_stride(module),
        tile=segmenting.tile,
    )


def refined_segmenter(segmenting: Segmenting, checkpoint: Path, classes: int) -> RefinedSegmenter:
    """A trained segmenter and its CRF as a function of photos.

    Args:
        segmenting: how it looks at photos.
        checkpoint: its file.
        classes: C.

    Raises:
        WeightsError: if the checkpoint is missing, damaged, or of another network.
        ConfigError: if `segmenting.tile` is not a positive whole number, the CRF's extra is not
            installed, or there are more classes than ids.
    """
    segment = segment_photo(segmenting, checkpoint, classes)
    crf = segmenting.crf()
    if classes > IGNORED - 1:
        raise ConfigError(f"a label map holds {IGNORED - 1} classes at most, got {classes}")
    return RefinedSegmenter(segment, None if segmenting.crf.name == "no_crf" else crf)


def label_photo(segmenting: Segmenting, checkpoint: Path, classes: int) -> LabelPhoto:
    """`refined_segmenter` as a function of one photo: to its label (H, W).

    Raises:
        WeightsError: if the checkpoint is missing, damaged, or of another network.
        ConfigError: if the CRF's extra is not installed, or there are more classes than ids.
    """
    return refined_segmenter(segmenting, checkpoint, classes).label
