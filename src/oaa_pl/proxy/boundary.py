"""Saliency from the photo alone: regions connected to the photo's border are background.

Source: Zhu et al., "Saliency optimization from robust background detection", CVPR 2014; equation
numbers are that paper's. Needs no weights and no tags. Departures from the paper were chosen on 70
photos of VOC train, by the overlap with masks at saliency 0.5. Comments name them.

Shapes: H x W pixels, N superpixels (about 300).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import csc_array, csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import spsolve
from skimage.filters import threshold_otsu

from oaa_pl.proxy.superpixels import Superpixels, superpixels

__all__ = [
    "background_probability",
    "boundary_saliency",
    "optimised_saliency",
    "weighted_contrast",
]

_NEXT_TO_NOTHING = 1e-6
_PATCH_PIXELS = 48  # smaller superpixels do not have one clear colour
_COMPACTNESS = 20.0  # as the source: patches follow edges but not texture
_GEODESIC_SIGMA = 8.0  # Lab units; the source has 7 after subtracting a noise level
_FAR = 6.0  # sigmas of a geodesic distance: farther superpixels count as different
_PLACE_SIGMA = 0.25  # long sides of the photo: Eq. (6)
_BORDER_WEIGHT = 5.0  # weight of the background term of Eq. (9) in the source's code
_COLOUR_SIGMA = 10.0  # Lab units: Eq. (10), as is the floor below
_SMOOTHNESS_FLOOR = 0.1


def boundary_saliency(
    photo: NDArray[np.uint8], segments: int, smoothing: float
) -> NDArray[np.float32]:
    """Saliency of every pixel of one photo.

    Departure: the source only stretches the result to [0, 1]. Proxy labels compare saliency with
    attention, so its level matters: the level that best separates the photo's superpixels (Otsu)
    becomes 0.5.

    Args:
        photo: RGB, (H, W, 3).
        segments: wanted number of superpixels; small photos get fewer.
        smoothing: sigma of the blur over the superpixels' edges, in long sides of the photo.

    Returns:
        Saliency in [0, 1], 1 for an object, (H, W). All zero if no superpixel stands out.
    """
    height, width = photo.shape[:2]
    count = max(1, min(segments, height * width // _PATCH_PIXELS))
    patches = superpixels(photo, count, _COMPACTNESS)
    background = background_probability(patches)
    contrast = _stretched(weighted_contrast(patches, background) * (1 - background))
    if not contrast.any():
        return np.zeros((height, width), dtype=np.float32)
    # Departure: cut weak contrast. Otherwise clutter adds some saliency everywhere.
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

    A region is background if much of its outline is on the photo's border. Boundary connectivity
    is the border length of the region around a superpixel, divided by the root of its area. An
    object that the border cuts has a low value, sky has a high one.

    Args:
        patches: of one photo.

    Returns:
        Probabilities, (N,).
    """
    linked = patches.adjacent.copy()
    border = np.flatnonzero(patches.at_border)
    linked[np.ix_(border, border)] = True  # one background, even if an object divides it
    np.fill_diagonal(linked, False)
    one, other = np.nonzero(linked)
    # A sparse zero means "not linked", so equal colours need some length.
    step = patches.colour_distance[one, other] + _NEXT_TO_NOTHING
    links = csr_matrix((step, (one, other)), shape=linked.shape)
    # Both directions of every link are given: "undirected" would follow each of them twice. Farther
    # away is not followed: a likeness below 1e-7 becomes 0, in half of the time.
    path = dijkstra(links, directed=True, limit=_FAR * _GEODESIC_SIGMA)
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
    """The smooth saliency that best agrees with both cues, Eqs. (9)-(10).

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
    # A photo of one colour gives no evidence. The small last term keeps the system solvable.
    pull = _BORDER_WEIGHT * background + object_evidence + _NEXT_TO_NOTHING
    # Sparse, since a dense solver starts a thread on every core for a matrix of 300 x 300, which
    # costs more than the solution, and most where processes share the cores.
    system = csc_array(np.diag(smooth.sum(axis=1) + pull) - smooth)
    saliency: NDArray[np.float64] = spsolve(system, object_evidence)
    return saliency


def _otsu(values: NDArray[np.float64]) -> float:
    """The level that best separates the values into two groups (Otsu, 1979)."""
    return float(threshold_otsu(values))  # type: ignore[no-untyped-call]  # scikit-image: untyped


def _stretched(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values stretched to [0, 1]; all zero if they are all equal."""
    span = values.max() - values.min()
    if span < _NEXT_TO_NOTHING:
        return np.zeros_like(values)
    stretched: NDArray[np.float64] = (values - values.min()) / span
    return stretched
