"""Trunks by name from torchvision's classifiers.

Shapes: (B, 3, H, W) -> (B, out_channels, about H / stride, about W / stride).
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torchvision import models
from torchvision.models import get_model, get_model_weights, list_models
from torchvision.models.feature_extraction import create_feature_extractor
from typing_extensions import override

from oaa_pl.errors import ConfigError
from oaa_pl.nets.named import NamedTrunk, strides
from oaa_pl.nets.pieces import find_pieces
from oaa_pl.nets.probe import probe_image, record_calls
from oaa_pl.nets.trunk import freeze_blocks
from oaa_pl.nets.weights import load_weights

__all__ = ["TorchvisionTrunk", "torchvision_record"]

_FEW = 3  # stages; a network with fewer parts keeps them one level deeper


class TorchvisionTrunk(NamedTrunk):
    """A classifier of torchvision up to what it pools, found by `find_pieces`.

    Args:
        name: as `torchvision.models.list_models()` has it: `convnext_tiny`, `swin_t`.
        weights: `imagenet` (torchvision's first published, downloaded once), `none`, or a path;
            see `nets.weights.load_weights`. A classifier in it is left out.
        freeze: number of blocks that are not trained, counted from the input.
        stride: pixels of a cell's side. None: 16 where the network can be dilated, else what it
            has.
        freeze_norm: keep every batch norm's running statistics, even while training.

    Raises:
        WeightsError: if the weights do not exist or do not fit.
        ConfigError: if there is no such network, or it has no such stride or number of blocks.
        UnfitNetworkError: if the network's last features cannot be found.
    """

    def __init__(
        self,
        name: str,
        weights: str | Path = "imagenet",
        freeze: int = 0,
        stride: int | None = None,
        freeze_norm: bool = False,
    ) -> None:
        _check(name)
        net = _create(name, stride)
        image = probe_image(net)
        calls, logits = record_calls(net, image)
        pieces = find_pieces(calls, logits, name)
        outputs = {call.name: tuple(call.output.shape) for call in calls}
        # A transformer's places are learned for one size alone.
        side = image.shape[2] if pieces.layout == "tokens" else None
        super().__init__(name, 1, side, freeze_norm)
        self.pieces, self.patches = pieces, outputs.get(pieces.patches, ())
        self.net = create_feature_extractor(net, {pieces.layer: "features"})
        beyond = tuple(net.state_dict().keys() - self.net.state_dict().keys())
        load_weights(self.net, weights, next(iter(get_model_weights(name)), None), beyond)
        self._measure(image.shape[2])
        self._check_stride(stride)
        freeze_blocks(_blocks(self.net), freeze, name)
        self.train()  # a trainer need not call it: Lightning leaves every module's mode as it is

    @override
    def _features(self, image: Tensor) -> Tensor:
        return self.pieces.features(self.net(image)["features"], self.patches)


def torchvision_record(name: str) -> Mapping[str, Any]:
    """Mean and std of the images that a network's published weights were trained on.

    Args:
        name: the network's.

    Raises:
        ConfigError: if torchvision has no such network, or no weights for it.
    """
    _check(name)
    published = next(iter(get_model_weights(name)), None)
    if published is None:
        raise ConfigError(
            f"torchvision has no weights of {name}, and so no record of their input; give net.mean "
            "and net.std"
        )
    transform = published.transforms()
    return {"mean": transform.mean, "std": transform.std}


def _check(name: str) -> None:
    known = list_models(module=models)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=5, cutoff=0.4)
        raise ConfigError(
            f"torchvision has no classifier {name!r}; the nearest are {', '.join(near) or 'none'}"
        )


def _create(name: str, stride: int | None) -> nn.Module:
    # What a family does not know, its constructor refuses.
    options: list[dict[str, Any]] = []
    for wanted in strides(stride):
        if wanted in (8, 16):
            options += [{"replace_stride_with_dilation": [False, wanted == 8, True]}]
        if wanted == 16:
            options += [{"dilated": True}]
    for more in options:
        try:
            net: nn.Module = get_model(name, weights=None, **more)
        except (TypeError, ValueError, NotImplementedError):
            continue
        return net
    plain: nn.Module = get_model(name, weights=None)
    return plain


def _blocks(net: nn.Module) -> list[list[nn.Parameter]]:
    """A network's parameters by its stages, in order of their first use."""
    parts = _parts(net)
    while sum(map(_has_parts, parts)) < _FEW and any(map(_has_parts, parts)):
        largest = max(filter(_has_parts, parts), key=_size)
        place = parts.index(largest)
        parts[place : place + 1] = _parts(largest)
    blocks: list[list[nn.Parameter]] = []
    for part in parts:
        # A norm between stages goes with the one before it, a first norm with its convolution.
        alone = any(map(_has_parts, parts)) and not _has_parts(part) and blocks
        if not alone:
            blocks.append([])
        blocks[-1] += part.parameters()
    known = {id(parameter) for block in blocks for parameter in block}
    # A class token and learned places come before the first layer.
    blocks[0] += [parameter for parameter in net.parameters() if id(parameter) not in known]
    return blocks


def _parts(net: nn.Module) -> list[nn.Module]:
    return [part for part in net.children() if _size(part)]


def _has_parts(net: nn.Module) -> bool:
    return bool(_parts(net))


def _size(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())
