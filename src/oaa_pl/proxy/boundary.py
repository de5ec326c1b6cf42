"""Saliency from the photo alone: what hangs together with the photo's border is background.

Source: Zhu et al., "Saliency optimization from robust background detection", CVPR 2014; equation
numbers are that paper's. No weights, no labels. Departures, chosen on 70 photos of VOC train for
the overlap at saliency 0.5, are named where they are made.

Shapes: H x W pixels, N superpixels (about 300).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import shortest_path
from skimage.filters import threshold_otsu

from oaa_pl.proxy.superpixels import Superpixels, superpixels

__all__ = [
    "background_probability",
    "boundary_saliency",
    "optimised_saliency",
    "weighted_contrast",
]

_NEXT_TO_NOTHING = 1e-6
_PATCH_PIXELS = 48  # smaller superpixels have no colour of their own
_COMPACTNESS = 20.0  # as the source: patches that keep to edges but not to texture
_GEODESIC_SIGMA = 8.0  # Lab units; the source has 7 after subtracting a noise level
_PLACE_SIGMA = 0.25  # long sides of the photo: Eq. (6)
_BORDER_WEIGHT = 5.0  # the source's code weighs the background term of Eq. (9) so
_COLOUR_SIGMA = 10.0  # Lab units: Eq. (10), as is the floor below
_SMOOTHNESS_FLOOR = 0.1


def boundary_saliency(
    photo: NDArray[np.uint8], segments: int, smoothing: float
) -> NDArray[np.float32]:
    """Saliency of every pixel of one photo.

    Departure: the source stretches the result to [0, 1] and leaves its level to the reader. Proxy
    labels compare it with attention, so the level that best parts the photo's superpixels (Otsu)
    is brought to 0.5.

    Args:
        photo: RGB, (H, W, 3).
        segments: superpixels to aim for; small photos get fewer.
        smoothing: sigma of the blur that hides the superpixels' edges, in long sides.

    Returns:
        1 for an object, all zero where no superpixel stands out, (H, W).
    """
    height, width = photo.shape[:2]
    count = max(1, min(segments, height * width // _PATCH_PIXELS))
    patches = superpixels(photo, count, _COMPACTNESS)
    background = background_probability(patches)
    contrast = _stretched(weighted_contrast(patches, background) * (1 - background))
    if not contrast.any():
        return np.zeros((height, width), dtype=np.float32)
    # Departure: weak contrast is cut, as clutter in a photo adds up to a veil over everything.
    object_evidence = np.where(contrast < _otsu(contrast), 0, contrast)
    saliency = _stretched(optimised_saliency(patches, background, object_evidence))
    level = float(np.clip(_otsu(saliency), 0.05, 0.95))
    saliency = np.interp(saliency, [0, level, 1], [0, 0.5, 1])
    painted: NDArray[np.float32] = gaussian_filter(
        saliency[patches.patch].astype(np.float32), smoothing * max(height, width)
    )
    return painted.clip(0, 1)


def background_probability(patches: Superpixels) -> NDArray[np.float64]:
    """How likely each superpixel belongs to the background, Eqs. (2)-(5) and (7).

    A region is background if much of its outline lies on the photo's border: boundary
    connectivity is the border length of the region that a superpixel spans, over the root of that
    region's area. An object cut by the border has little of it; sky has much.

    Args:
        patches: of one photo.

    Returns:
        Probabilities, (N,).
    """
    linked = patches.adjacent.copy()
    border = np.flatnonzero(patches.at_border)
    linked[np.ix_(border, border)] = True  # background parted by an object is still one region
    np.fill_diagonal(linked, False)
    one, other = np.nonzero(linked)
    # A sparse zero means "not linked", so equal colours need some length.
    step = patches.colour_distance[one, other] + _NEXT_TO_NOTHING
    path = shortest_path(csr_matrix((step, (one, other)), shape=linked.shape), directed=False)
    alike = np.exp(-(path**2) / (2 * _GEODESIC_SIGMA**2))
    area = alike.sum(axis=1)
    border_length = alike[:, patches.at_border].sum(axis=1)
    connectivity = border_length / np.sqrt(area)
    probability: NDArray[np.float64] = 1 - np.exp(-(connectivity**2) / 2)
    return probability


def weighted_contrast(patches: Superpixels, background: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each superpixel differs in colour from the background near it, Eqs. (6) and (8).

    Args:
        patches: of one photo.
        background: probabilities, (N,).

    Returns:
        0 or more, in Lab units times superpixels, (N,).
    """
    near = np.exp(-(patches.place_distance**2) / (2 * _PLACE_SIGMA**2))
    return (patches.colour_distance * near) @ background


def optimised_saliency(
    patches: Superpixels,
    background: NDArray[np.float64],
    object_evidence: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The saliency that best agrees with both cues and is smooth, Eqs. (9)-(10).

    Minimises sum(5 b s^2) + sum(o (s - 1)^2) + sum over neighbours(w (s_i - s_j)^2), which is a
    linear system.

    Args:
        patches: of one photo.
        background: probabilities b, (N,).
        object_evidence: o, in [0, 1], (N,).

    Returns:
        Saliency s in [0, 1], (N,).
    """
    colour = patches.colour_distance**2 / (2 * _COLOUR_SIGMA**2)
    smooth = np.where(patches.adjacent, np.exp(-colour) + _SMOOTHNESS_FLOOR, 0)
    # A photo of one colour has neither evidence: the small last term keeps the system solvable.
    pull = _BORDER_WEIGHT * background + object_evidence + _NEXT_TO_NOTHING
    system = np.diag(smooth.sum(axis=1) + pull) - smooth
    saliency: NDArray[np.float64] = np.linalg.solve(system, object_evidence)
    return saliency


def _otsu(values: NDArray[np.float64]) -> float:
    """The level that best parts the values in two (Otsu, 1979)."""
    return float(threshold_otsu(values))  # type: ignore[no-untyped-call]  # scikit-image: untyped


def _stretched(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values brought to [0, 1]; all zero if they are all alike."""
    span = values.max() - values.min()
    if span < _NEXT_TO_NOTHING:
        return np.zeros_like(values)
    stretched: NDArray[np.float64] = (values - values.min()) / span
    return stretched
