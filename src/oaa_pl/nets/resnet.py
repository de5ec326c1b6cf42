"""ResNet trunks at stride 8, from torchvision's networks.

Source: He et al., CVPR 2016. The strides of the last two stages become dilation, as in Chen et al.,
"Rethinking atrous convolution", 2017, section 3.1.

Shapes: (B, 3, H, W) -> (B, out, ceil(H / 8), ceil(W / 8)), out = 512 for depths 18 and 34, 2048
for 50 and 101. Use input sides that are multiples of 8.
"""

from pathlib import Path
from typing import Self

from torch import Tensor, nn
from torchvision.models import ResNet, WeightsEnum, get_model, get_model_weights

from oaa_pl.errors import ConfigError
from oaa_pl.nets.trunk import freeze_blocks, norms_to_evaluation
from oaa_pl.nets.weights import load_weights

__all__ = ["ResNetTrunk"]

_WIDTH = {18: 512, 34: 512, 50: 2048, 101: 2048}


class ResNetTrunk(nn.Module):
    """A torchvision ResNet without its pooling and classifier, at stride 8.

    Input: RGB scaled to [0, 1], normalised by torchvision's mean (0.485, 0.456, 0.406) and
    std (0.229, 0.224, 0.225).

    Args:
        depth: 18, 34, 50 or 101.
        weights: `imagenet`, `none` or a path; see `nets.weights.load_weights`. Names are
            torchvision's (`layer1.0.conv1.weight`); the `fc` of a whole network is ignored.
        freeze: number of blocks, 0..5, that are not trained: the stem, then the four stages.
        freeze_norm: keep every batch norm's running statistics, even while training. The
            recipe's batches of 5 to 10 images are too small to estimate them.

    Raises:
        WeightsError: if the weights do not exist or do not fit.
        ConfigError: if `depth` or `freeze` is out of range.
    """

    stride = 8

    def __init__(
        self,
        depth: int = 101,
        weights: str | Path = "imagenet",
        freeze: int = 0,
        freeze_norm: bool = True,
    ) -> None:
        super().__init__()
        if depth not in _WIDTH:
            raise ConfigError(f"depth must be one of {sorted(_WIDTH)}, got {depth}")
        self.out_channels = _WIDTH[depth]
        self.freeze_norm = freeze_norm
        name = f"resnet{depth}"
        # IMAGENET1K_V1 is the set that the literature used. All published sets have the same names.
        published: WeightsEnum = get_model_weights(name)["IMAGENET1K_V1"]
        net: ResNet = get_model(name, weights=None)
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2 = net.layer1, net.layer2
        self.layer3 = _stride_to_dilation(net.layer3, before=1, after=2)
        self.layer4 = _stride_to_dilation(net.layer4, before=2, after=4)
        load_weights(self, weights, published, beyond=("fc.",))
        stem = [self.conv1, self.bn1]
        stages = [self.layer1, self.layer2, self.layer3, self.layer4]
        freeze_blocks([stem, *stages], freeze)
        self.train()  # Lightning does not call it: it keeps the mode of every module

    def forward(self, image: Tensor) -> Tensor:
        """Features after the last stage.

        Args:
            image: normalised as above, (B, 3, H, W).

        Returns:
            0 or more, (B, out_channels, ceil(H / 8), ceil(W / 8)).
        """
        features: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = stage(features)
        return features

    def train(self, mode: bool = True) -> Self:
        """Set training mode, but leave frozen batch norms in evaluation mode.

        Args:
            mode: true for training.

        Returns:
            The trunk itself.
        """
        super().train(mode)
        if self.freeze_norm:
            norms_to_evaluation(self)
        return self


def _stride_to_dilation(stage: nn.Sequential, before: int, after: int) -> nn.Sequential:
    # torchvision's `replace_stride_with_dilation` refuses the basic blocks of depths 18 and 34.
    # The kernel that had the stride still reads samples `before` apart, all later ones `after`.
    for layer in stage.modules():
        if isinstance(layer, nn.Conv2d):
            step = before if layer.stride == (2, 2) else after
            layer.stride = (1, 1)
            if layer.kernel_size == (3, 3):
                layer.dilation = layer.padding = (step, step)
    return stage
