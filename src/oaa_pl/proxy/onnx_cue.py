"""The ONNX cue: saliency from a salient-object network, computed once and cached.

Shapes: a photo is (H, W, 3) uint8 RGB, its saliency (H, W) float32 in [0, 1].
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oaa_pl.proxy.kept_maps import KeptMaps
from oaa_pl.proxy.saliency_model import SaliencyModel

__all__ = ["OnnxCue"]

_RECIPE = 1  # raise when `SaliencyModel` changes, so that cached maps are made again


class OnnxCue:
    """Saliency of every photo from a network; see `proxy.saliency_model`.

    Args:
        cache: folder for the maps, one subfolder per model and set of parameters; None: no cache.
        model: the ONNX file.
        size: side of the network's square input in pixels, if the file does not fix it.
        mean: of the network's input per channel R, G, B.
        std: of the network's input per channel, above 0.

    Raises:
        ConfigError: if no model is given, a number is out of range or the extra `saliency` is not
            installed.
        WeightsError: if the model cannot be read, or its input is not an image.
    """

    def __init__(
        self,
        cache: str | Path | None,
        model: str | Path | None,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        self.model = SaliencyModel(model, size, mean, std)
        # By the model's content: another file with the same name makes other maps.
        made_by = [_RECIPE, self.model.digest, size, self.model.mean, self.model.std]
        self._kept = KeptMaps(cache, "onnx", made_by)

    def __call__(self, image_id: str, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Saliency of one photo, from the cache if it has it.

        Args:
            image_id: name of the file in the cache.
            photo: RGB, (H, W, 3).

        Returns:
            Saliency in steps of 1/255, the same with and without a cache, (H, W).

        Raises:
            WeightsError: if the network fails, or its output is not one finite map.
            OutputError: if the cache cannot be written.
        """
        return self._kept(image_id, photo, self.model)
