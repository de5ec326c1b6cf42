"""What a segmenter saw in one photo: logits of each view, averaged at the photo's resolution.

Logits stay at the network's resolution and are resized to the photo one band of rows at a time
(`nets.bands`), so that memory does not grow with pixels times classes.

Source: Chen et al., "DeepLab", TPAMI 2017, section 4.1.1 (multi-scale and flipped test inputs).

Shapes: H x W pixels of the photo; h x w cells of a view; C foreground classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oaa_pl.nets.bands import bands, empty_label, stretched_label, stretched_rows

__all__ = ["Seen"]


@dataclass(frozen=True, eq=False)
class Seen:
    """Logits of the views of one photo.

    Attributes:
        views: logits (C + 1, h, w), and whether the view was mirrored; one or more.
        size: pixels (H, W) of the photo.
    """

    views: list[tuple[Tensor, bool]]
    size: tuple[int, int]

    @property
    def channels(self) -> int:
        """C + 1."""
        return self.views[0][0].shape[0]

    @torch.no_grad()
    def probabilities(self, size: tuple[int, int] | None = None) -> Tensor:
        """Class probabilities of each pixel. `label` needs far less memory.

        Args:
            size: (H, W) of the result; None: the photo's.

        Returns:
            Probabilities, (C + 1, H, W), float32, on the CPU.
        """
        size = size or self.size
        rows = bands(self.channels, size)
        return torch.cat([self._mean(size, *band).cpu() for band in rows], dim=1)

    @torch.no_grad()
    def label(self) -> NDArray[np.uint8]:
        """The most probable class of each pixel.

        Returns:
            Ids 0..C, (H, W).

        Raises:
            ConfigError: if there are more than 255 ids, as 255 means ignored.
        """
        if len(self.views) == 1:  # a softmax does not change which class is the highest
            return stretched_label(self.views[0][0], self.size)
        label = empty_label(self.channels, self.size)
        for first, last in bands(self.channels, self.size):
            label[first:last] = self._mean(self.size, first, last).argmax(dim=0).cpu().numpy()
        return label

    @torch.no_grad()
    def labelled(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """The most probable class of each pixel, and its probability.

        Returns:
            Ids 0..C, (H, W), equal to `label`; and probabilities in [1 / (C + 1), 1], (H, W).

        Raises:
            ConfigError: if there are more than 255 ids, as 255 means ignored.
        """
        label = empty_label(self.channels, self.size)
        confidence = np.empty(self.size, np.float32)
        for first, last in bands(self.channels, self.size):
            if len(self.views) == 1:
                # Probabilities tie where logits do not: 1 and 1 - 1e-9 are one float32.
                logits = stretched_rows(self.views[0][0], self.size, first, last)
                best, probabilities = logits.argmax(dim=0), logits.softmax(dim=0)
            else:
                probabilities = self._mean(self.size, first, last)
                best = probabilities.argmax(dim=0)
            label[first:last] = best.cpu().numpy()
            confidence[first:last] = probabilities.amax(dim=0).cpu().numpy()
        return label, confidence

    def _mean(self, size: tuple[int, int], first: int, last: int) -> Tensor:
        """Probabilities of a band of rows, averaged over the views: (C + 1, rows, W)."""
        found = []
        for logits, mirrored in self.views:
            probabilities = stretched_rows(logits, size, first, last).softmax(dim=0)
            found.append(probabilities.flip(2) if mirrored else probabilities)
        return torch.stack(found).mean(dim=0)
