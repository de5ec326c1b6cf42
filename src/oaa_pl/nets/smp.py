"""Segmentation networks of segmentation-models-pytorch, an extra, on an encoder of timm.

Source: Iakubovskii, "Segmentation models PyTorch", 2019: U-Net, FPN, DeepLabV3+ and others.

Shapes: (B, 3, H, W) -> logits (B, C + 1, H, W), channel 0 the background.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.nets.timm_trunk import require_timm
from oaa_pl.nets.trunk import freeze_blocks
from oaa_pl.nets.weights import read_weights

__all__ = ["SmpNet"]


class SmpNet(nn.Module):
    """An encoder of timm, which gives features at several strides, and a decoder that joins them.

    Images of any size are padded at the right and below to what the encoder needs, and the logits
    cut to the image.

    Attributes:
        trunk: the encoder, with an integer `stride`.
        stride: pixels of a side of the logits' cells: 1.
        last_layers: names of the layers with a higher learning rate for `fast=last`.

    Args:
        num_classes: C + 1, foreground classes and background.
        decoder: a class of segmentation-models-pytorch, such as `Unet`, `FPN`, `DeepLabV3Plus`.
        name: an encoder of timm that has features at several strides, such as `resnet50`.
        weights: of the encoder: `imagenet` (timm's own for that name, downloaded once), `none`, or
            a path of a file with timm's names.
        freeze: 1 or more: the encoder is not trained.
        options: further arguments of the class.

    Raises:
        ConfigError: if the extra is not installed, or there is no such decoder or encoder, or they
            do not go together.
        WeightsError: if the weights do not exist or do not fit.
    """

    last_layers: ClassVar[tuple[str, ...]] = ("decoder", "head")
    stride: ClassVar[int] = 1

    def __init__(
        self,
        num_classes: int,
        decoder: str = "FPN",
        name: str = "resnet50",
        weights: str | Path = "imagenet",
        freeze: int = 0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        file = None if str(weights) in ("imagenet", "none") else Path(weights)
        state = {} if file is None else read_weights(file)
        more = dict(options or {})
        if file is not None:
            more["pretrained_cfg_overlay"] = {"file": str(file)}
        net = _create(decoder, name, str(weights) != "none", num_classes, more)
        self.trunk, self.decoder, self.head = net.encoder, net.decoder, net.segmentation_head
        self.trunk.stride = int(self.trunk.output_stride)
        if file is not None:
            _require_loaded(self.trunk, state, file)
        freeze_blocks([[self.trunk]], min(freeze, 1))

    @override
    def forward(self, image: Tensor) -> Tensor:
        """Raw class scores of every pixel.

        Args:
            image: normalised for the encoder, (B, 3, H, W).

        Returns:
            Logits, (B, C + 1, H, W).
        """
        height, width = image.shape[2:]
        below, right = (-side % self.trunk.stride for side in (height, width))
        padded = F.pad(image, (0, right, 0, below))
        logits: Tensor = self.head(self.decoder(self.trunk(padded)))
        return logits[..., :height, :width]


def _create(decoder: str, name: str, pretrained: bool, classes: int, options: Any) -> Any:
    require_timm(name)
    try:
        import segmentation_models_pytorch as library
    except ImportError as error:
        raise ConfigError(
            "net=smp needs the extra 'smp': pip install 'oaa_pl[smp]'; or take net=timm, whose "
            "segmenter has a small head"
        ) from error
    known = {one.__name__: one for one in library.MODEL_ARCHITECTURES_MAPPING.values()}
    if decoder not in known:
        near = difflib.get_close_matches(decoder, known, n=3, cutoff=0.3)
        raise ConfigError(
            f"segmentation-models-pytorch has no {decoder!r}; the nearest are "
            f"{', '.join(near) or ', '.join(known)}"
        )
    try:
        return known[decoder](
            encoder_name=f"tu-{name}",
            encoder_weights=pretrained or None,  # what the library wants for encoders of timm
            classes=classes,
            **options,
        )
    except (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{decoder} of segmentation-models-pytorch cannot be made on {name} "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); take an "
            "encoder with features at several strides, such as resnet50 or convnext_tiny"
        ) from error
    except OSError as error:  # of the client of the model hub
        raise WeightsError(
            f"timm's weights of {name} could not be downloaded ({type(error).__name__}: {error}); "
            "use net.weights=none or the path of a local file"
        ) from error


def _require_loaded(encoder: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    """Refuse an encoder that a file did not fill: timm leaves out what does not fit."""
    held = {value.float().numpy().tobytes() for value in state.values()}
    missing = [
        name
        for name, value in encoder.named_parameters()
        if value.detach().float().numpy().tobytes() not in held
    ]
    if missing:
        raise WeightsError(
            f"'{file}' does not fill {len(missing)} parts of the encoder, {missing[0]} among them; "
            "give a file with timm's names of the same network"
        )
