"""The VGG-16 trunk at stride 8, the paper's first backbone.

Source: Simonyan and Zisserman, ICLR 2015 (configuration D), at stride 8 as in Chen et al.,
"Semantic image segmentation with deep convolutional nets and fully connected CRFs", ICLR 2015,
section 3.1: pool4 keeps the resolution, pool5 is removed, and conv5 is dilated by 2 so that its
kernels still see the samples that they were trained on.

Shapes: (B, 3, H, W) -> (B, 512, H // 8, W // 8). The pools round down, so no cell covers
the rows and columns after the last multiple of 8. Use sides that are multiples of 8: then the cells
tile the image exactly.
"""

from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn
from torchvision.models import VGG16_Weights
from torchvision.models.vgg import cfgs, make_layers

from oaa_pl.nets.trunk import freeze_blocks, he_init
from oaa_pl.nets.weights import find_weights, load_weights

__all__ = ["Vgg16Trunk"]

_POOL4, _POOL5 = 23, 30
_BLOCK_ENDS = (5, 10, 17, 24, 30)
# Convolutions in the original convention; the classifier in this file is NaN. The classifier of
# IMAGENET1K_V1 is complete, but belongs to another network with other features.
_PUBLISHED = VGG16_Weights.IMAGENET1K_FEATURES
_BEYOND = ("classifier.",)


class Vgg16Trunk(nn.Module):
    """VGG-16's thirteen convolutions at stride 8, with torchvision's names (`features.N.weight`).

    Input: RGB scaled to [0, 1], minus a mean near (0.485, 0.458, 0.408), divided by 1/255. This is
    the convention of `imagenet` (torchvision's `IMAGENET1K_FEATURES`) and of the original Caffe
    weights. torchvision's later weights divide by (0.229, 0.224, 0.225) instead.

    Args:
        weights: `imagenet`, `none` or a path; see `nets.weights.load_weights`. The file may be of
            the whole VGG-16: `fully_connected` returns the layers after the trunk.
        freeze: number of blocks, 0..5, that are not trained, counted from the input.

    Raises:
        WeightsError: if the weights do not exist or do not fit.
        ConfigError: if `freeze` is out of range.
    """

    out_channels: ClassVar[int] = 512
    stride: ClassVar[int] = 8

    def __init__(self, weights: str | Path = "imagenet", freeze: int = 0) -> None:
        super().__init__()
        # torchvision's own layers, without the 120 M weights of the classifier behind them.
        self.features: nn.Sequential = make_layers(cfgs["D"], batch_norm=False)[:_POOL5]
        self.features[_POOL4] = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
        for layer in self.features[_POOL4 + 1 :]:
            if isinstance(layer, nn.Conv2d):
                layer.dilation = layer.padding = (2, 2)
        he_init(self)
        self._weights = weights
        load_weights(self, weights, _PUBLISHED, beyond=_BEYOND)
        starts = (0, *_BLOCK_ENDS[:-1])
        freeze_blocks(
            [self.features[a:b] for a, b in zip(starts, _BLOCK_ENDS, strict=True)], freeze
        )

    def fully_connected(self) -> dict[str, Tensor]:
        """VGG-16's classifier from the trunk's weights file, which is read again.

        Returns:
            torchvision's names (`classifier.0.weight`) to tensors, in the file's dtype; empty if
            the file has no classifier, or the trunk has no file.

        Raises:
            WeightsError: if the file does not exist any more.
        """
        if str(self._weights) == "none":
            return {}
        state = find_weights(self, self._weights, _PUBLISHED)
        return {name: value for name, value in state.items() if name.startswith(_BEYOND)}

    def forward(self, image: Tensor) -> Tensor:
        """Features after conv5_3 and its ReLU.

        Args:
            image: normalised as above, (B, 3, H, W), H and W at least 8.

        Returns:
            0 or more, (B, 512, H // 8, W // 8).
        """
        features: Tensor = self.features(image)
        return features
