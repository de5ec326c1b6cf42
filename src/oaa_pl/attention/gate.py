"""Which of a batch's attention maps are trusted enough to be accumulated.

Source: Jiang et al., ICCV 2019, section 3.2 (last paragraph). A gate compares raw scores, never
probabilities: the sigmoid ties at 1 long before the scores do.

Shapes: B images, C foreground classes.
"""

import torch
from torch import Tensor

__all__ = ["accept_all", "beats_absent_classes", "top_k"]


def beats_absent_classes(scores: Tensor, labels: Tensor) -> Tensor:
    """The paper's gate: a present class is trusted if it scores above every absent class.

    Args:
        scores: raw class scores, (B, C).
        labels: whether the class is in the image, bool, (B, C).

    Returns:
        Bool, (B, C); never true for an absent class or for a score that is not a number. All
        present classes are trusted in an image that has every class.

    Examples:
        >>> scores = torch.tensor([[3.0, 1.0, 2.0]])
        >>> beats_absent_classes(scores, torch.tensor([[True, True, False]])).tolist()
        [[True, False, False]]
    """
    best_absent = scores.masked_fill(labels, -torch.inf).amax(dim=1, keepdim=True)
    return labels & ((scores > best_absent) | ((best_absent == -torch.inf) & ~scores.isnan()))


def top_k(scores: Tensor, labels: Tensor) -> Tensor:
    """A present class is trusted if it is among the K best scores, K = number of tags.

    Release: both of the authors' versions use this rule. It is the looser one: in an image with
    two tags, a class that one absent class beats is still accepted.

    Args:
        scores: raw class scores, (B, C).
        labels: whether the class is in the image, bool, (B, C).

    Returns:
        Bool, (B, C); never true for an absent class or for a score that is not a number.

    Examples:
        >>> scores = torch.tensor([[3.0, 1.0, 2.0]])
        >>> top_k(scores, torch.tensor([[True, True, False]])).tolist()
        [[True, False, False]]
    """
    ranked = scores.nan_to_num(nan=-torch.inf).argsort(dim=1, descending=True, stable=True)
    rank = ranked.argsort(dim=1)  # the inverse permutation: each class's place, 0 the best
    return labels & (rank < labels.sum(dim=1, keepdim=True)) & ~scores.isnan()


def accept_all(scores: Tensor, labels: Tensor) -> Tensor:
    """No gate: every present class is trusted from the first epoch on (an ablation).

    Args:
        scores: raw class scores, (B, C).
        labels: whether the class is in the image, bool, (B, C).

    Returns:
        Bool, (B, C): the labels, less scores that are not a number.
    """
    return labels & ~scores.isnan()
