"""A trained segmenter and its CRF as one function of photos.

Shapes: H x W pixels of a photo; C foreground classes.
"""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from oaa_pl.nets.bands import stretched_label
from oaa_pl.nets.inference import SegmentPhoto
from oaa_pl.nets.seen import Seen

__all__ = ["Prediction", "RefinedSegmenter"]

log = logging.getLogger(__name__)

Photo = NDArray[np.uint8]

# Values that a CRF gets, H x W x (C + 1): 0.3 GB, and five times as much while it infers. With 21
# labels 3 megapixels; its widths are meant for photos of 500 px.
_CRF_VALUES = 2**26


class Prediction(NamedTuple):
    """A segmented photo.

    Attributes:
        mask: ids 0..C, 0 the background, (H, W) uint8.
        confidence: probability of each pixel's id, in (0, 1], (H, W) float32.
    """

    mask: NDArray[np.uint8]
    confidence: NDArray[np.float32]


class RefinedSegmenter:
    """Photos to masks and confidence.

    A CRF needs all probabilities at once, so a photo that is large for its number of labels gets
    it at a smaller size, and its label is brought to the photo.

    Args:
        segment: the segmenter.
        crf: photo (H, W, 3) and probabilities (C + 1, H, W) to refined ones; None: no CRF.
    """

    def __init__(
        self,
        segment: SegmentPhoto,
        crf: Callable[[Photo, NDArray[np.float32]], NDArray[np.float32]] | None = None,
    ) -> None:
        self.segment, self.crf = segment, crf

    def label(self, photo: Photo) -> Photo:
        """The ids 0..C of a photo (H, W, 3), as (H, W)."""
        [seen] = self.segment.see([photo])
        return seen.label() if self.crf is None else self._refined(photo, seen).mask

    def masks(self, photos: Sequence[Photo]) -> list[Photo]:
        """The ids 0..C of each photo of a batch. Photos (H, W, 3) may have any sizes."""
        if self.crf is None:
            return [seen.label() for seen in self.segment.see(photos)]
        return [one.mask for one in self.predictions(photos)]

    def predictions(self, photos: Sequence[Photo]) -> list[Prediction]:
        """Mask and confidence of each photo of a batch. Photos (H, W, 3) may have any sizes.

        With a CRF, the confidence is the CRF's probability.
        """
        every = zip(photos, self.segment.see(photos), strict=True)
        if self.crf is None:
            return [Prediction(*seen.labelled()) for _, seen in every]
        return [self._refined(photo, seen) for photo, seen in every]

    def _refined(self, photo: Photo, seen: Seen) -> Prediction:
        size, smaller = seen.size, _within(seen.size, seen.channels)
        if smaller != size:
            log.info("the CRF of %d x %d px is computed at %d x %d px", *size[::-1], *smaller[::-1])
            shrunk = cv2.resize(photo, smaller[::-1], interpolation=cv2.INTER_AREA)
            photo = shrunk.astype(np.uint8, copy=False)
        refined = self.crf(photo, seen.probabilities(smaller).numpy())  # type: ignore[misc]  # there is one
        confidence = refined.max(axis=0).astype(np.float32)
        if smaller == size:
            return Prediction(refined.argmax(axis=0).astype(np.uint8), confidence)
        stretched = cv2.resize(confidence, size[::-1], interpolation=cv2.INTER_LINEAR)
        mask = stretched_label(torch.from_numpy(refined), size)
        return Prediction(mask, stretched.astype(np.float32, copy=False))


def _within(size: tuple[int, int], labels: int) -> tuple[int, int]:
    """The size at which a CRF of so many labels is computed: the photo's, or one that it can."""
    height, width = size
    if height * width * labels <= _CRF_VALUES:
        return size
    factor = (_CRF_VALUES / (height * width * labels)) ** 0.5
    return max(1, int(height * factor)), max(1, int(width * factor))
