"""Maps by torchcam, an extra, of classifiers that have no score for each cell.

Source: Selvaraju et al., "Grad-CAM", ICCV 2017; Jiang et al., "LayerCAM", TIP 2021, and others,
through torchcam. Their maps are weighted sums of a layer's features after a ReLU: not negative, and
of no common scale over the classes. Eq. (2) divides each by its own maximum; the gate compares the
network's scores, which are given beside them.

Shapes: B images, C classes, h x w cells.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from oaa_pl.callbacks.layer import layer_of
from oaa_pl.errors import ConfigError, UnfitNetworkError
from oaa_pl.nets.probe import logits_of

__all__ = ["TorchcamMaps", "torchcam_maps"]

_METHODS = ("GradCAM", "GradCAMpp", "LayerCAM", "XGradCAM")


def torchcam_maps(
    network: nn.Module, image: Tensor, classes: Iterable[int], layer: str, method: str = "LayerCAM"
) -> tuple[Tensor, Tensor]:
    """Scores and maps of one batch; each class takes one backward pass.

    Args:
        network: images to scores (B, C); best in evaluation mode. Its gradients stay as they are.
        image: as the network takes it, (B, channels, H, W).
        classes: which maps are needed; those of all others are 0.
        layer: path of the layer whose features (B, D, h, w) are weighted.
        method: `GradCAM`, `GradCAMpp`, `LayerCAM` or `XGradCAM`.

    Returns:
        Scores (B, C), and maps of 0 and more, (B, C, h, w), both detached.

    Raises:
        ConfigError: if torchcam is not installed, or there is no such method or layer.
        UnfitNetworkError: if the layer's output has no cells, or the scores do not depend on it.
    """
    if method not in _METHODS:
        raise ConfigError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    try:
        from torchcam import methods
    except ImportError as error:
        raise ConfigError(
            "maps by gradients need the extra 'cam': pip install 'oaa_pl[cam]'; where each cell "
            "has a score, layer='auto' needs no extra"
        ) from error
    target = layer_of(network, layer)
    maps: dict[int, Tensor] = {}
    with (
        torch.enable_grad(),
        getattr(methods, method)(network, target, input_shape=tuple(image.shape[1:])) as extractor,
    ):
        # A frozen network has gradients of its features only if its input has.
        scores = logits_of(network(image.detach().clone().requires_grad_()))
        for category in classes:
            try:
                (maps[category],) = extractor(category, scores, normalized=False, retain_graph=True)
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                raise UnfitNetworkError(
                    f"{method} cannot weigh the output of {layer} ({str(error).splitlines()[0]}); "
                    "give a layer that returns (B, D, h, w) and that the scores depend on"
                ) from error
    shape = next((tuple(one.shape) for one in maps.values()), (len(image), 1, 1))
    if len(shape) != 3:
        raise UnfitNetworkError(
            f"{method} needs a layer that returns (B, D, h, w), but the maps of {layer} are {shape}"
        )
    stacked = scores.new_zeros(len(image), scores.shape[1], *shape[1:])
    for category, one in maps.items():
        stacked[:, category] = one
    return scores.detach(), stacked.detach()


class TorchcamMaps:
    """`score_map=` of `AttentionAccumulation`: maps by torchcam, after each step.

    Args:
        layer: path of the layer inside the module, `model.layer4` for example.
        method: see `torchcam_maps`.
        read_image: maps a batch to images (B, channels, H, W). None: `image` of a dict, or the
            first of a tuple.
        read_labels: maps a batch to tags (B, C), so that only their classes are computed. None:
            `labels` of a dict; all classes of other batches.

    Raises:
        ConfigError: if there is no such method.
    """

    def __init__(
        self,
        layer: str,
        method: str = "LayerCAM",
        read_image: Callable[[Any], Tensor] | None = None,
        read_labels: Callable[[Any], Tensor] | None = None,
    ) -> None:
        if method not in _METHODS:
            raise ConfigError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
        self.layer, self.method = layer, method
        self.read_image, self.read_labels = read_image or _image, read_labels or _labels

    def __call__(self, module: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        """Scores and maps of a batch: see `torchcam_maps`.

        Args:
            module: a module whose forward maps images to scores.
            batch: as the training step received it.

        Returns:
            (B, C) and (B, C, h, w).
        """
        image, labels = self.read_image(batch), self.read_labels(batch)
        if labels is None:
            with torch.no_grad():
                classes = list(range(logits_of(module(image)).shape[1]))
        else:
            classes = (torch.as_tensor(labels) > 0).any(0).nonzero().flatten().tolist()
        return torchcam_maps(module, image, classes, self.layer, self.method)


def _image(batch: Any) -> Tensor:
    image: Tensor = batch["image"] if isinstance(batch, Mapping) else batch[0]
    return image


def _labels(batch: Any) -> Any:
    return batch.get("labels") if isinstance(batch, Mapping) else None
