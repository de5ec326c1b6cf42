"""Dense CRF: refine a segmentation so that it follows the edges of the photo.

Source: Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge
Potentials", NIPS 2011; named by Jiang et al., ICCV 2019, section 4.1.

Shapes: H x W pixels; L labels, background first.
"""

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import ConfigError

__all__ = ["DenseCrf", "no_crf"]

Probabilities = NDArray[np.float32]

# A probability of zero would have an infinite energy.
_LEAST = 1e-5


def no_crf(photo: NDArray[np.uint8], probabilities: Probabilities) -> Probabilities:
    """Return a segmentation unchanged.

    Args:
        photo: RGB, (H, W, 3).
        probabilities: of the labels, (L, H, W).

    Returns:
        The same probabilities.
    """
    del photo
    return probabilities


class DenseCrf:
    """Mean-field inference in a CRF that connects every pair of pixels of a photo.

    Args:
        iterations: of the inference, 1 or more.
        smooth_weight: of the kernel for neighbouring pixels, 0 or more.
        smooth_xy: its width in pixels, above 0.
        colour_weight: of the kernel for near pixels of similar colour, 0 or more.
        colour_xy: its width in pixels, above 0.
        colour_rgb: its width in grey levels of 255, above 0.

    Raises:
        ConfigError: if a number is out of range, or the extra `crf` is not installed.
    """

    def __init__(
        self,
        iterations: int = 10,
        smooth_weight: float = 3.0,
        smooth_xy: float = 1.0,
        colour_weight: float = 4.0,
        colour_xy: float = 67.0,
        colour_rgb: float = 3.0,
    ) -> None:
        if iterations < 1 or min(smooth_weight, colour_weight) < 0:
            raise ConfigError("crf: iterations must be 1 or more, weights 0 or more")
        if min(smooth_xy, colour_xy, colour_rgb) <= 0:
            raise ConfigError("crf: widths (smooth_xy, colour_xy, colour_rgb) must be above 0")
        try:
            from pydensecrf.densecrf import DenseCRF2D
        except ImportError as error:
            raise ConfigError(
                "crf=release needs the extra 'crf': pip install 'oaa_pl[crf]' (it compiles for a "
                "minute and needs a C++ compiler), or leave the CRF out with crf=none"
            ) from error
        self._model = DenseCRF2D
        self.iterations = iterations
        self.smooth_weight, self.smooth_xy = smooth_weight, smooth_xy
        self.colour_weight, self.colour_xy, self.colour_rgb = colour_weight, colour_xy, colour_rgb

    def __call__(self, photo: NDArray[np.uint8], probabilities: Probabilities) -> Probabilities:
        """Probabilities after inference.

        Args:
            photo: RGB, (H, W, 3).
            probabilities: of the labels, (L, H, W), each in [0, 1]. At each pixel they may have any
                common factor.

        Returns:
            Probabilities of the labels, (L, H, W), float32, summing to 1 over the labels.
        """
        labels, height, width = probabilities.shape
        model = self._model(width, height, labels)
        energy = -np.log(probabilities.clip(_LEAST, 1)).reshape(labels, -1)
        model.setUnaryEnergy(np.ascontiguousarray(energy, np.float32))
        model.addPairwiseGaussian(sxy=self.smooth_xy, compat=self.smooth_weight)
        model.addPairwiseBilateral(
            sxy=self.colour_xy,
            srgb=self.colour_rgb,
            rgbim=np.ascontiguousarray(photo),
            compat=self.colour_weight,
        )
        inferred = np.asarray(model.inference(self.iterations), np.float32)
        return inferred.reshape(labels, height, width)
