"""Class attention maps from a classifier's score map.

Source: Jiang et al., ICCV 2019, section 3.1, Eq. (2); the score map of a class-aware 1 x 1
convolution equals the class activation map of Zhou et al., CVPR 2016 (shown by Zhang et al.,
CVPR 2018).

Shapes: B images, C foreground classes, H x W cells.
"""

from torch import Tensor

__all__ = ["class_attention", "min_max_attention", "probability_attention"]


def class_attention(score_map: Tensor, epsilon: float = 0.0, levels: int | None = None) -> Tensor:
    """Attention A = ReLU(F) / max(F) of each class, Eq. (2).

    Args:
        score_map: raw class scores F, (B, C, H, W).
        epsilon: added to the maximum, 0 or more. Release: 1e-8.
        levels: round to that many steps above zero; None: no rounding. Release: 255, as its maps
            are kept in 8-bit files between two updates.

    Returns:
        Attention in [0, 1], (B, C, H, W), float32. A map with no positive score is all zero: the
        paper's quotient is undefined there. Such a map is not accumulated, unless `keep_empty`.

    Examples:
        >>> import torch
        >>> class_attention(torch.tensor([[[[-1.0, 2.0, 4.0]], [[-3.0, -2.0, -1.0]]]])).tolist()
        [[[[0.0, 0.5, 1.0]], [[0.0, 0.0, 0.0]]]]
    """
    positive = score_map.float().relu()
    peak = positive.amax(dim=(2, 3), keepdim=True)
    attention = positive / (peak + epsilon).where(peak > 0, 1)
    return attention if levels is None else (attention * levels).round() / levels


def min_max_attention(score_map: Tensor) -> Tensor:
    """Attention (F - min F) / (max F - min F) of each class.

    Release: the authors' Caffe code uses this. Eq. (2) cuts at zero instead.

    Args:
        score_map: raw class scores F, (B, C, H, W).

    Returns:
        Attention in [0, 1], (B, C, H, W), float32; all zero where the map is constant.
    """
    score_map = score_map.float()
    low = score_map.amin(dim=(2, 3), keepdim=True)
    span = score_map.amax(dim=(2, 3), keepdim=True) - low
    return (score_map - low) / span.where(span > 0, 1)


def probability_attention(score_map: Tensor) -> Tensor:
    """Attention q = sigmoid(F) of each class: the maps of an integral model as it learned them.

    Section 3.3 trains q to equal the soft label, which is cumulative attention. Eq. (2), used
    for the classifier, would instead make every cell with q below one half empty. The cells of a
    classifier's score map are not such probabilities: only their mean was trained.

    Args:
        score_map: raw class scores F of an integral model, (B, C, H, W).

    Returns:
        Attention in [0, 1], (B, C, H, W), float32.

    Examples:
        >>> import torch
        >>> probability_attention(torch.tensor([[[[0.0, 100.0, -100.0]]]])).tolist()
        [[[[0.5, 1.0, 0.0]]]]
    """
    return score_map.float().sigmoid()
