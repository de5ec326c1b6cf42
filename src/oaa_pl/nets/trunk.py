"""Functions for every trunk: width, stride, freezing, initial weights.

A trunk is an `nn.Module` from images (B, 3, H, W) to features (B, out_channels, h, w) with two
integer attributes, `out_channels` and `stride` (h = H / stride). Heads need nothing else, so any
network that is cut before its pooling layer can be a trunk.
"""

from collections.abc import Iterable, Sequence

from torch import nn

from oaa_pl.errors import ConfigError

__all__ = [
    "freeze_blocks", "he_init", "init_scores", "norms_to_evaluation", "trunk_channels",
    "trunk_stride",
]  # fmt: skip


def trunk_channels(trunk: nn.Module) -> int:
    """Number of feature channels of a trunk.

    Args:
        trunk: a module with an integer attribute `out_channels`.

    Returns:
        The number of channels, 1 or more.

    Raises:
        ConfigError: if the attribute is missing or not a positive integer.
    """
    channels = getattr(trunk, "out_channels", None)
    if not isinstance(channels, int) or channels < 1:
        raise ConfigError(
            f"trunk must be a module with a positive integer `out_channels`, got "
            f"{type(trunk).__name__} with out_channels={channels!r}; set the attribute to the "
            f"number of channels its forward returns"
        )
    return channels


def trunk_stride(net: nn.Module) -> int:
    """Pixels per side of a cell of a network's trunk; 1 if it has no `trunk`.

    Args:
        net: a network; its `trunk`, if any, has an integer attribute `stride`.

    Raises:
        ConfigError: if that attribute is missing or not a positive integer.
    """
    trunk = getattr(net, "trunk", None)
    if trunk is None:
        return 1
    stride = getattr(trunk, "stride", None)
    if not isinstance(stride, int) or stride < 1:
        raise ConfigError(
            f"trunk must be a module with a positive integer `stride`, got {type(trunk).__name__} "
            f"with stride={stride!r}; set the attribute to the pixels per side of a cell"
        )
    return stride


def freeze_blocks(
    blocks: Sequence[Iterable[nn.Module | nn.Parameter]], freeze: int, name: str = ""
) -> None:
    """Do not train the first `freeze` blocks of a trunk.

    Autograd then records nothing below the first trained block. This saves backward passes and
    activations, most of which belong to the early blocks of VGG-16.

    Args:
        blocks: the trunk's layers, or their parameters, in order, grouped into blocks.
        freeze: how many blocks to freeze, 0..len(blocks).
        name: of the network, for the error.

    Raises:
        ConfigError: if `freeze` is out of range.
    """
    if not 0 <= freeze <= len(blocks):
        raise ConfigError(
            f"freeze must be a number of blocks{f' of {name}' * bool(name)} from 0 to "
            f"{len(blocks)}, got {freeze}; "
            f"0 trains the whole trunk"
        )
    for block in blocks[:freeze]:
        for layer in block:
            layer.requires_grad_(False)


def norms_to_evaluation(trunk: nn.Module) -> None:
    """Make every batch norm of a trunk use its running statistics without updating them.

    Args:
        trunk: changed in place. `train(True)` undoes it, so the trunk must call this again there.
    """
    for layer in trunk.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def he_init(module: nn.Module) -> None:
    """Initialise every convolution of `module`: He normal over the fan-in, biases zero.

    Features then keep their size from layer to layer with ReLU.
    Source: He et al., "Delving deep into rectifiers", ICCV 2015, Eq. (10).

    Args:
        module: changed in place.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def init_scores(layer: nn.Conv2d, std: float) -> None:
    """Initialise a last layer with small weights, so that no class dominates before training.

    Args:
        layer: the class scores' convolution, (classes, channels, 1, 1); changed in place.
        std: standard deviation of the weights, above 0.

    Raises:
        ConfigError: if `std` is not positive.
    """
    if std <= 0:
        raise ConfigError(f"score_std must be above 0, got {std}")
    nn.init.normal_(layer.weight, std=std)
