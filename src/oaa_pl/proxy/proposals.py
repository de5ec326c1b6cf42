"""Refine proxy labels by mask proposals of no class, such as those of a segment-anything model.

Attention says where a class is, a proposal where something ends. Each proposal takes the class
that fills it.

Shapes: H x W pixels of a photo; K tagged classes; evidence (K + 1, H, W), background first.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import BadMaskError, ConfigError
from oaa_pl.proxy.superpixels import superpixels

__all__ = ["Proposals", "SnapToProposals", "Superpixels", "no_refinement", "snap"]

Evidence = NDArray[np.float32]


class Proposals(Protocol):
    """A function of a photo that returns masks of what may be objects or their parts."""

    def __call__(self, image_id: str, photo: NDArray[np.uint8]) -> Iterable[NDArray[np.bool_]]:
        """Masks (H, W) of one photo (H, W, 3), in any number; they may overlap."""
        ...


@runtime_checkable
class _FromFiles(Protocol):
    def require(self, ids: Sequence[str]) -> None: ...


def no_refinement(image_id: str, photo: NDArray[np.uint8], evidence: Evidence) -> Evidence:
    """Return evidence unchanged.

    Args:
        image_id: of the photo.
        photo: RGB, (H, W, 3).
        evidence: (K + 1, H, W).
    """
    del image_id, photo
    return evidence


def snap(evidence: Evidence, masks: Iterable[NDArray[np.bool_]], minimum: float) -> Evidence:
    """Give each proposal to the class that fills it.

    The rule, for each mask: take each channel's mean over the mask's pixels. The best class is the
    one with the highest mean; on a tie the first. If its mean is at least `minimum` and above the
    background's mean, the class has the proposal, with its mean as strength. At a pixel inside of
    such proposals, the class of the strongest one (on a tie the first mask's) has that strength as
    its evidence, and all other channels have 0. All other pixels stay as they are.

    Args:
        evidence: of background and tagged classes, in [0, 1], (K + 1, H, W).
        masks: each (H, W); an empty one changes nothing.
        minimum: the lowest mean, in [0, 1].

    Returns:
        The refined evidence, (K + 1, H, W).

    Raises:
        BadMaskError: if a mask has another size.

    Examples:
        >>> evidence = np.array([[[0.2, 0.2, 0.2]], [[0.8, 0.6, 0.0]]], np.float32)
        >>> snap(evidence, [np.array([[False, True, True]])], 0.25)[1].round(2).tolist()
        [[0.800..., 0.300..., 0.300...]]
    """
    size = evidence.shape[1:]
    strength = np.zeros(size, np.float32)
    channel = np.zeros(size, np.intp)
    for mask in masks:
        if mask.shape != size:
            raise BadMaskError(
                f"a proposal is {mask.shape} but its photo is {size} (height, width); make the "
                "proposals at the photo's size, turned as it is shown"
            )
        if not mask.any() or len(evidence) == 1:
            continue
        background, *classes = evidence[:, mask].mean(axis=1)
        best = int(np.argmax(classes))
        if classes[best] < minimum or classes[best] <= background:
            continue
        stronger = mask & (classes[best] > strength)
        strength[stronger], channel[stronger] = classes[best], best + 1
    taken = channel > 0
    refined = np.where(taken, np.float32(0), evidence)
    np.put_along_axis(refined, channel[None], np.where(taken, strength, refined[0])[None], axis=0)
    return refined


class SnapToProposals:
    """Snaps a photo's evidence to its proposals: see `snap`.

    Args:
        proposals: gives a photo's masks.
        minimum: the lowest mean evidence of a class over a proposal that it takes, in [0, 1].

    Raises:
        ConfigError: if `minimum` is out of range.
    """

    def __init__(self, proposals: Proposals, minimum: float) -> None:
        if not 0 <= minimum <= 1:
            raise ConfigError(f"refine.minimum must be in [0, 1], got {minimum}")
        self.proposals, self.minimum = proposals, minimum

    def __call__(self, image_id: str, photo: NDArray[np.uint8], evidence: Evidence) -> Evidence:
        """The refined evidence of one photo.

        Args:
            image_id: of the photo.
            photo: RGB, (H, W, 3).
            evidence: of background and tagged classes, in [0, 1], (K + 1, H, W).

        Returns:
            The same where no proposal is taken, (K + 1, H, W).

        Raises:
            MissingInputError: if the photo has no proposals.
            BadMaskError: if they cannot be read, or have another size.
        """
        try:
            return snap(evidence, self.proposals(image_id, photo), self.minimum)
        except BadMaskError as error:
            raise BadMaskError(f"proposals of image '{image_id}': {error}") from error

    def require(self, ids: Sequence[str]) -> None:
        """Refuse to start if photos have no proposals.

        Args:
            ids: of all photos that will need them, N.

        Raises:
            MissingInputError: if one has none.
        """
        if isinstance(self.proposals, _FromFiles):
            self.proposals.require(ids)


class Superpixels:
    """Superpixels in the place of a model's proposals: small, of one colour, and always there.

    Args:
        count: wanted number, 1 or more.
        compactness: weight of position against colour.

    Raises:
        ConfigError: if `count` is below 1.
    """

    def __init__(self, count: int, compactness: float) -> None:
        if count < 1:
            raise ConfigError(f"refine.proposals.count must be 1 or more, got {count}")
        self.count, self.compactness = count, compactness

    def __call__(self, image_id: str, photo: NDArray[np.uint8]) -> Iterator[NDArray[np.bool_]]:  # noqa: ARG002  # the interface of proposals
        """One mask for each superpixel; together they cover the photo.

        Args:
            image_id: not used.
            photo: RGB, (H, W, 3).
        """
        patch = superpixels(photo, self.count, self.compactness).patch
        return (patch == number for number in range(int(patch.max()) + 1))
