"""Make saliency maps as files, photo by photo.

Kept free of torch imports: `SaliencyMaker` is pickled into worker processes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.errors import BadImageError
from oaa_pl.proxy.kept_maps import to_levels
from oaa_pl.proxy.png import save_png
from oaa_pl.proxy.saliency_model import SaliencyModel

__all__ = ["SaliencyMaker"]


@dataclass(frozen=True)
class SaliencyMaker:
    """Writes the saliency map of one photo.

    Attributes:
        read: path to RGB photo, (H, W, 3) uint8.
        model: photo to saliency, (H, W) in [0, 1].
        folder: gets `<id>.png`.
    """

    read: Callable[[Path], NDArray[np.uint8]]
    model: SaliencyModel
    folder: Path

    def path(self, name: str) -> Path:
        """Where the map of an image id is."""
        return self.folder / f"{name}.png"

    def __call__(self, photo: tuple[str, Path]) -> str | None:
        """Write the map of a photo, given by its id and path.

        Returns:
            None; or the reason why the file is not a photo, and has no map.

        Raises:
            WeightsError: if the network fails.
            OutputError: if the map cannot be written.
        """
        name, path = photo
        try:
            pixels = self.read(path)
        except BadImageError as error:
            return str(error)
        save_png(self.path(name), Image.fromarray(to_levels(self.model(pixels))))
        return None
