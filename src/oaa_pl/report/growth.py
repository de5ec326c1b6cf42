"""What one image's attention did over the epochs of a run, measured, and described in one sentence.

The paper observes that attention shifts from part to part; whether it did so in this run is read
from its maps, never assumed.

Shapes: h x w cells of a map.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["growth_caption"]

Maps = Mapping[int, NDArray[np.floating]]


def growth_caption(cumulative: Maps, attention: Maps, threshold: float) -> str:
    """Say how large the maps of an image and class are, and how similar those of two epochs.

    Args:
        cumulative: epoch -> cumulative map after it in [0, 1], (h, w); one or more.
        attention: epoch -> attention of that epoch alone in [0, 1], (h, w), zero where it has no
            positive value; epochs may be missing.
        threshold: what counts as attended, in [0, 1].

    Returns:
        One or two sentences in plain text.

    Examples:
        >>> left, right = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
        >>> growth_caption({1: left, 2: left + right}, {}, 0.3)
        'At 0.3 or above: 50 % of the photo after epoch 1 and 100 % after epoch 2.'
    """
    first, last = min(cumulative), max(cumulative)
    text = f"At {threshold:g} or above: {_share(cumulative[first], threshold)} after epoch {first}"
    if last != first:
        text += f" and {_share(cumulative[last], threshold, '')} after epoch {last}"
    if last in attention:
        text += f", {_share(attention[last], threshold, '')} in epoch {last}’s attention alone"
    text += "."
    overlaps = _overlaps(attention, threshold)
    if len(overlaps) == 1:
        text += f" Overlap of the attention of two epochs in a row (IoU): {overlaps[0]:.2f}."
    elif overlaps:
        text += (
            f" Overlap of the attention of two epochs in a row (IoU): {overlaps[0]:.2f} at first, "
            f"{overlaps[-1]:.2f} at last, {np.mean(overlaps):.2f} on average."
        )
    return text


def _share(map_: NDArray[np.floating], threshold: float, of: str = " of the photo") -> str:
    return f"{100 * np.mean(map_ >= threshold):.0f} %{of}"


def _overlaps(attention: Maps, threshold: float) -> list[float]:
    """IoU of each two neighbouring epochs where both attend to something."""
    found = []
    for epoch in sorted(attention):
        if epoch + 1 in attention:
            one, two = attention[epoch] >= threshold, attention[epoch + 1] >= threshold
            if one.any() and two.any():
                found.append(float((one & two).sum() / (one | two).sum()))
    return found
