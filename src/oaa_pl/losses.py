"""Losses of the classifier and of the integral attention model, as pure functions.

Source: Jiang et al., "Integral Object Mining via Online Attention Accumulation", ICCV 2019.
Equation numbers are the paper's.

Shapes: B images, C foreground classes, H x W cells of the score map. Score maps are raw scores:
these functions apply the sigmoid themselves, once, in log space.
"""

import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "hybrid_loss",
    "image_level_loss",
    "image_scores",
    "pooled_hybrid_loss",
    "soft_label_cross_entropy",
]


def image_scores(score_map: Tensor) -> Tensor:
    """Class scores GAP(F) of Eq. (1), before the sigmoid.

    Args:
        score_map: raw class scores F, (B, C, H, W).

    Returns:
        Raw scores, (B, C). Always float32, because the gate compares them.
    """
    return score_map.float().mean(dim=(2, 3))


def image_level_loss(score_map: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of p = sigma(GAP(F)), Eq. (1), against the image-level tags.

    Args:
        score_map: raw class scores F, (B, C, H, W).
        labels: 1.0 where the class is in the image, else 0.0, (B, C).

    Returns:
        Scalar, in nats, averaged over images and classes.
    """
    return F.binary_cross_entropy_with_logits(image_scores(score_map), labels)


def soft_label_cross_entropy(score_map: Tensor, soft_label: Tensor) -> Tensor:
    """Multi-label cross-entropy against soft labels, Eq. (6): the baseline of the ablation.

    Args:
        score_map: raw class scores, (B, C, H, W).
        soft_label: cumulative attention p in [0, 1], (B, C, H, W).

    Returns:
        Scalar, in nats: mean over cells, sum over classes, mean over images.

    Raises:
        ValueError: if the two shapes differ.
    """
    _check_same_shape(score_map, soft_label)
    per_cell = F.binary_cross_entropy_with_logits(
        score_map.float(), soft_label.float(), reduction="none"
    )
    return per_cell.mean(dim=(2, 3)).sum(dim=1).mean()


def hybrid_loss(score_map: Tensor, soft_label: Tensor) -> Tensor:
    """Hybrid loss of the integral attention model, Eqs. (7)-(9).

    The loss pushes up cells with accumulated attention (p > 0), harder as p grows, and pushes down
    cells without (p = 0). Cross-entropy would instead settle each cell at q = p. Then all cells
    with p < 0.5 would end as background, and the object would shrink.

    Args:
        score_map: raw class scores, (B, C, H, W).
        soft_label: cumulative attention p in [0, 1], (B, C, H, W).

    Returns:
        Scalar, in nats: mean over each region, sum over classes, mean over images.

    Raises:
        ValueError: if the two shapes differ.

    Examples:
        >>> import torch
        >>> soft_label = torch.tensor([[[[0.5, 0.0]], [[0.0, 0.0]]]])
        >>> hybrid_loss(torch.zeros(1, 2, 1, 2), soft_label)  # 2.5 * ln 2
        tensor(1.7329)
    """
    gain, restraint, enhance = _enhance_and_constrain(score_map, soft_label)
    per_class = _region_mean(gain, enhance) + _region_mean(restraint, ~enhance)
    return per_class.sum(dim=1).mean()  # Eq. (9)


def pooled_hybrid_loss(score_map: Tensor, soft_label: Tensor, threshold: float = 0.0) -> Tensor:
    """Hybrid loss with both regions pooled over all classes of an image.

    Release: the authors' code averages once over the cells of all classes. Eqs. (7)-(8) average
    per class. With pooling, rare classes weigh less. The PyTorch version also counts p <= 0.001 as
    empty.

    Args:
        score_map: raw class scores, (B, C, H, W).
        soft_label: cumulative attention p in [0, 1], (B, C, H, W).
        threshold: cells with p above it are enhanced, the others are constrained; in [0, 1).

    Returns:
        Scalar, in nats: mean over each pooled region, mean over images.

    Raises:
        ValueError: if the two shapes differ.
    """
    gain, restraint, enhance = _enhance_and_constrain(score_map, soft_label, threshold)
    # One row of C * H cells: the mean over it is the mean over all classes at once.
    gain, restraint, enhance = (part.flatten(1, 2)[:, None] for part in (gain, restraint, enhance))
    return (_region_mean(gain, enhance) + _region_mean(restraint, ~enhance)).mean()


def _enhance_and_constrain(
    score_map: Tensor, soft_label: Tensor, threshold: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Per-cell terms of Eqs. (7) and (8), and the enhance region N+; each (B, C, H, W)."""
    _check_same_shape(score_map, soft_label)
    # The store guarantees the range of p. A check here would make the GPU wait at each step.
    score_map, soft_label = score_map.float(), soft_label.float()
    gain = -soft_label * F.logsigmoid(score_map)  # Eq. (7)
    restraint = -F.logsigmoid(-score_map)  # Eq. (8): log(1 - q)
    return gain, restraint, soft_label > threshold


def _region_mean(values: Tensor, region: Tensor) -> Tensor:
    """Mean of `values` over the cells of `region`, 0 without cells: (B, C, H, W) -> (B, C)."""
    total = values.where(region, 0).sum(dim=(2, 3))
    return total / region.sum(dim=(2, 3)).clamp(min=1)


def _check_same_shape(score_map: Tensor, soft_label: Tensor) -> None:
    if score_map.shape != soft_label.shape:
        raise ValueError(
            f"score_map is {tuple(score_map.shape)} but soft_label is "
            f"{tuple(soft_label.shape)}; resize the soft label to the score map's grid first"
        )
