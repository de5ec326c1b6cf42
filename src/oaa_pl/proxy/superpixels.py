"""Superpixels of a photo: colours, positions and neighbours.

Source: Achanta et al., "SLIC superpixels", PAMI 2012, through scikit-image.

Shapes: H x W pixels, N superpixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from skimage.color import rgb2lab
from skimage.segmentation import slic

__all__ = ["Superpixels", "superpixels"]


@dataclass(frozen=True)
class Superpixels:
    """A photo divided into N patches of similar colour.

    Attributes:
        patch: number 0..N-1 of every pixel's patch, (H, W).
        colour_distance: between the patches' mean colours, in CIE Lab units, (N, N).
        place_distance: between their centres, in long sides of the photo, (N, N).
        adjacent: whether two patches touch; symmetric, false on the diagonal, (N, N).
        at_border: whether a patch touches the photo's border, (N,).
    """

    patch: NDArray[np.intp]
    colour_distance: NDArray[np.float64]
    place_distance: NDArray[np.float64]
    adjacent: NDArray[np.bool_]
    at_border: NDArray[np.bool_]


def superpixels(photo: NDArray[np.uint8], count: int, compactness: float) -> Superpixels:
    """Divide a photo into about `count` superpixels.

    Args:
        photo: RGB, (H, W, 3).
        count: wanted number, 1 or more.
        compactness: weight of position against colour; a high one gives square patches.

    Returns:
        The patches and their relations.
    """
    colours = photo.astype(np.float32) / 255  # float64 takes longer, the conversion three times
    # Give RGB: SLIC scales its input to [0, 1] and converts it to Lab itself.
    # Blur by one pixel: noise makes tiny patches, and SLIC would merge them for very long. A single
    # sigma would blur in depth too.
    found = slic(colours, n_segments=count, compactness=compactness, sigma=(1, 1), start_label=0)
    lab = rgb2lab(colours)
    size = np.bincount(found.ravel())
    patch = (np.cumsum(size > 0) - 1)[found]  # numbers without gaps
    size = size[size > 0]
    height, width = patch.shape

    def patch_mean(values: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.bincount(patch.ravel(), weights=values.ravel()) / size

    colour = np.stack([patch_mean(lab[..., k]) for k in range(3)], axis=1)
    row, column = np.mgrid[:height, :width] / max(height, width)
    place = np.stack([patch_mean(row), patch_mean(column)], axis=1)

    adjacent = np.zeros((len(size), len(size)), dtype=bool)
    for here, there in ((patch[:, :-1], patch[:, 1:]), (patch[:-1], patch[1:])):
        adjacent[here, there] = adjacent[there, here] = True
    np.fill_diagonal(adjacent, False)

    at_border = np.zeros(len(size), dtype=bool)
    for edge in (patch[0], patch[-1], patch[:, 0], patch[:, -1]):
        at_border[edge] = True
    return Superpixels(patch, cdist(colour, colour), cdist(place, place), adjacent, at_border)
