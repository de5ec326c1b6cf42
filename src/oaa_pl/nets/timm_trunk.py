"""Trunks by name from timm, an extra: convolutional networks and vision transformers.

Source: Wightman, "PyTorch image models", 2019, whose `forward_features` is each network without
pooling and classifier.

Shapes: (B, 3, H, W) -> (B, out_channels, about H / stride, about W / stride).
"""

import difflib
import math
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.nets.named import NamedTrunk, strides
from oaa_pl.nets.probe import evaluating
from oaa_pl.nets.trunk import freeze_blocks
from oaa_pl.nets.weights import load_state, read_weights

__all__ = ["TimmTrunk", "require_timm", "timm_record"]

_SIDE = 128  # pixels of the image that a network is measured with, at least
_LARGEST_STRIDE = 32


class TimmTrunk(NamedTrunk):
    """A network of timm without its pooling and classifier.

    A transformer's patch tokens behind its last norm are its features; class and register tokens
    are left out. Its stride is the side of a patch.

    Args:
        name: as `timm.list_models()` has it: `convnext_tiny`, `vit_small_patch14_dinov2`.
        weights: `imagenet` (timm's own for that name, downloaded once), `none`, or a path of a
            file with timm's names; a classifier in it is left out.
        freeze: number of blocks that are not trained: the stem, then the stages (of a
            transformer: the layers).
        stride: pixels of a cell's side: 8, 16 or 32. None: 16 where the network can be dilated,
            else what it has.
        freeze_norm: keep every batch norm's running statistics, even while training.
        options: further arguments of `timm.create_model`.

    Raises:
        WeightsError: if the weights do not exist or do not fit.
        ConfigError: if timm is not installed, has no such network, or the network has no such
            stride or number of blocks.
    """

    def __init__(
        self,
        name: str,
        weights: str | Path = "imagenet",
        freeze: int = 0,
        stride: int | None = None,
        freeze_norm: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        timm = require_timm(name)
        net, free = _create(timm, name, stride, dict(options or {}))
        patches = getattr(net, "patch_embed", None)
        patch = getattr(patches, "patch_size", (1, 1))[0]
        fixed = getattr(patches, "img_size", None) if not free else None
        cell = math.lcm(patch, _LARGEST_STRIDE)
        side = fixed[0] if fixed else -(-_SIDE // cell) * cell
        with evaluating(net), torch.no_grad():
            tokens = net.forward_features(torch.zeros(1, 3, side, side)).ndim == 3
        # Stages after the patches, as Swin's, pad what is left over themselves.
        super().__init__(name, patch if tokens else 1, side if fixed else None, freeze_norm)
        self.net = net
        if str(weights) != "none":
            self._load(timm, weights)
        self._measure(side)
        self._check_stride(stride)
        groups = timm.models.group_parameters(net, net.group_matcher(coarse=True))
        parameters = dict(net.named_parameters())
        freeze_blocks(
            [[parameters[key] for key in groups[place]] for place in sorted(groups)], freeze, name
        )
        self.train()  # a trainer need not call it: Lightning leaves every module's mode as it is

    def _load(self, timm: ModuleType, weights: str | Path) -> None:
        classifier = self.net.pretrained_cfg.get("classifier") or ()
        names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
        if str(weights) == "imagenet":
            state = _published(timm, self.name)
        else:
            state = read_weights(Path(weights))
        load_state(self.net, state, str(weights), beyond=tuple(f"{name}." for name in names))

    @override
    def _features(self, image: Tensor) -> Tensor:
        features: Tensor = self.net.forward_features(image)
        if features.ndim == 3:
            height, width = (side // self.patch for side in image.shape[2:])
            tokens = features[:, features.shape[1] - height * width :]  # without class, registers
            return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, height, width)
        channels = self.net.num_features
        # Swin keeps its channels last.
        return features if features.shape[1] == channels else features.movedim(3, 1)


def timm_record(name: str) -> Mapping[str, Any]:
    """What timm says about a network's weights; `mean` and `std` among it.

    Args:
        name: the network's.

    Raises:
        ConfigError: if timm is not installed, or has no such network.
    """
    record: Mapping[str, Any] = require_timm(name).get_pretrained_cfg(name).to_dict()
    return record


def require_timm(name: str) -> ModuleType:
    """The library, once it is known to have a network.

    Args:
        name: the network's.

    Raises:
        ConfigError: if timm is not installed, or has no such network.
    """
    try:
        import timm
    except ImportError as error:
        raise ConfigError(
            "net=timm needs the extra 'timm': pip install 'oaa_pl[timm]'; or take net=torchvision, "
            "which needs no extra"
        ) from error
    if not timm.is_model(name.partition(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=5, cutoff=0.4)
        raise ConfigError(
            f"timm has no network {name!r}; the nearest are {', '.join(near) or 'none'}"
        )
    module: ModuleType = timm
    return module


def _create(timm: ModuleType, name: str, stride: int | None, options: dict[str, Any]) -> Any:
    """The network, and whether it takes images of any size."""
    # What a family does not know, its constructor refuses: the next choice has less.
    sizes: list[dict[str, Any]] = [{"dynamic_img_size": True}, {"strict_img_size": False}]
    dilations: list[dict[str, Any]] = [{"output_stride": s} for s in strides(stride) if s]
    for more in (*dilations, *sizes):
        try:
            return timm.create_model(name, num_classes=0, **more, **options), True
        except (TypeError, AssertionError, NotImplementedError):
            continue
    try:
        net = timm.create_model(name, num_classes=0, **options)
    except (TypeError, AssertionError) as error:
        raise ConfigError(f"timm cannot make {name} with the options {options}: {error}") from error
    return net, not hasattr(getattr(net, "patch_embed", None), "img_size")


def _published(timm: ModuleType, name: str) -> dict[str, Tensor]:
    try:
        net = timm.create_model(name, pretrained=True)
    except Exception as error:  # of its own client of a model hub, of many kinds
        raise WeightsError(
            f"timm's weights of {name} could not be downloaded ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else ''}); check the network, or use "
            "net.weights=none or the path of a local file"
        ) from error
    state: dict[str, Tensor] = net.state_dict()
    return state
