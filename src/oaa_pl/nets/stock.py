"""Score maps from unchanged classifiers: of torchvision, of timm, or your own.

Source: Zhou et al., CVPR 2016 (see `cell_head`); Jiang et al., ICCV 2019, section 3.1: the score
map F whose mean over the cells is the class score.

Shapes: B images, C classes, H x W pixels, h x w cells.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from oaa_pl.errors import UnfitNetworkError
from oaa_pl.losses import image_scores
from oaa_pl.nets.cell_head import Step, flat, score_each, score_tangent
from oaa_pl.nets.pieces import Pieces, find_pieces
from oaa_pl.nets.probe import logits_of, probe_image, record_calls, uncompiled

__all__ = ["ScoreMapOf", "map_from", "score_map_of"]


def score_map_of(model: nn.Module, image: Tensor | None = None) -> "ScoreMapOf":
    """A classifier that also returns its score map.

    The network is run once on a probe image to see where it pools; see `pieces`. It is not
    changed, and its weights stay shared: training the result trains the network.

    Args:
        model: images to scores (B, C).
        image: a batch of two or more different images that the network takes, (B, channels, H, W);
            None: noise of the size that the network was made for, or of 224 px.

    Raises:
        UnfitNetworkError: if the network cannot be run, or no cell of it has a score.

    Examples:
        >>> net = nn.Sequential(
        ...     nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
        ... )
        >>> scores, score_map = score_map_of(net)(torch.randn(4, 3, 32, 32))
        >>> scores.shape, score_map.shape
        (torch.Size([4, 2]), torch.Size([4, 2, 30, 30]))
        >>> bool(torch.isclose(score_map.mean((2, 3)), scores, atol=1e-5).all())
        True
    """
    model = uncompiled(model)
    image = probe_image(model) if image is None else image
    calls, logits = record_calls(model, image)
    if logits.ndim == 4:
        return ScoreMapOf(model, None)
    return ScoreMapOf(model, find_pieces(calls, logits, type(model).__name__))


class ScoreMapOf(nn.Module):
    """A classifier with its score map; made by `score_map_of`.

    The scores are the network's own, bit for bit. In evaluation mode the mean of the map over its
    cells equals them, up to rounding, where `mean_is_score`. In training mode it does so too,
    except for dropout behind the pooling: the map is computed without it, and without drawing
    random numbers. A batch norm behind the pooling uses the statistics that the network used.

    Nothing is kept from batch to batch. `torch.compile` has no effect on the network in here.

    Attributes:
        model: the network.
        pieces: where it pools, and its layers behind; None for one that ends in a score map.
        mean_is_score: whether the mean of the map is the score. It is not for a transformer that
            classifies by its class token: its patch tokens go through the same norm and head,
            which were trained on another token.

    Args:
        model: images (B, channels, H, W) to scores (B, C), or to score maps (B, C, h, w).
        pieces: as above.
    """

    def __init__(self, model: nn.Module, pieces: Pieces | None) -> None:
        super().__init__()
        self.model = model
        self.pieces = pieces
        self.mean_is_score = pieces is None or not pieces.by_token

    @override
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and score map.

        Args:
            image: as the network takes it, (B, channels, H, W).

        Returns:
            The network's scores (B, C) and the score map (B, C, h, w), both with gradients.

        Raises:
            UnfitNetworkError: if a layer that the map is made of did not run, or has another size
                than the head can take.
        """
        if self.pieces is None:
            score_map = logits_of(self.model(image))
            return image_scores(score_map), score_map
        seen: dict[str, Tensor] = {}
        names = {self.pieces.layer, self.pieces.patches} - {""}
        handles = [
            self.model.get_submodule(name).register_forward_hook(_keep(seen, name))
            for name in names
        ]
        try:
            scores = logits_of(self.model(image))
        finally:
            for handle in handles:
                handle.remove()
        if missing := sorted(names - seen.keys()):
            raise UnfitNetworkError(
                f"{', '.join(missing)} of {type(self.model).__name__} did not run as a layer of "
                "its own; compile the whole network, or nothing of it"
            )
        shape = tuple(seen[self.pieces.patches].shape) if self.pieces.patches else ()
        return scores, map_from(self.pieces, self.model, seen[self.pieces.layer], shape)


def map_from(
    pieces: Pieces, model: nn.Module, output: Tensor, patches: tuple[int, ...] = ()
) -> Tensor:
    """The score map of one run of a network.

    Args:
        pieces: where the network pools.
        model: the network.
        output: what its layer `pieces.layer` returned, in any of the layouts (B, D, h, w),
            (B, h, w, D), (B, N, D).
        patches: shape of what its layer `pieces.patches` returned, (B, D, h, w).

    Returns:
        (B, C, h, w).

    Raises:
        UnfitNetworkError: if the grid has another size than the head can take.
    """
    features = pieces.features(output, patches)
    height, width = features.shape[2:]
    if pieces.fixed and (height, width) != pieces.side:
        raise UnfitNetworkError(
            f"the head of {type(model).__name__} is made for {pieces.side} cells, got "
            f"{(height, width)}: give images of the size that it was made for"
        )
    if pieces.by_token:
        vectors = features.flatten(2).permute(2, 0, 1)
        maps = [
            score_each(_steps(model, head), output[:, place], vectors)
            for place, head in enumerate(pieces.heads)
        ]
        rows = torch.stack(maps).mean(0)
    else:
        pooled = flat(F.adaptive_avg_pool2d(features, pieces.side))
        head = _steps(model, pieces.heads[0])
        if pieces.side == (1, 1):
            rows = score_tangent(head, pooled, _itself, features.flatten(2).permute(2, 0, 1))
        else:
            alone = torch.eye(height * width).to(features).view(-1, height, width)
            rows = score_tangent(head, pooled, _pooled_alone(features, pieces.side), alone)
    return rows.permute(1, 2, 0).reshape(len(features), -1, height, width)


def _steps(model: nn.Module, head: tuple[tuple[str | None, tuple[int, ...]], ...]) -> list[Step]:
    # By name, so that a copy of the network, or one with a new layer, is read as it is now.
    return [
        Step(None if name is None else model.get_submodule(name), shape) for name, shape in head
    ]


def _itself(cell: Tensor) -> Tensor:
    return cell


def _pooled_alone(features: Tensor, side: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """What the pooled vector would be if one cell made up the whole picture's features."""
    count = features[0, 0].numel()
    return lambda alone: flat(F.adaptive_avg_pool2d(features * alone * count, side))


def _keep(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, Any, Tensor], None]:
    def keep(_: nn.Module, __: Any, output: Tensor) -> None:
        seen[name] = output

    return keep
