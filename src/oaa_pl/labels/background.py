"""Background cues: how much each pixel of a photo looks like an object, whatever its class.

Source: Jiang et al., ICCV 2019, section 4.1, takes saliency maps as the cue; here it is a choice,
`folder`, `onnx` (see `labels.onnx_cue`), `boundary` (see `labels.boundary`) or `constant`.

Shapes: a photo is (H, W, 3) uint8 RGB, its saliency (H, W) float32 in [0, 1], 1 for an object.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl import unreadable
from oaa_pl.errors import BadMaskError, ConfigError, MissingInputError, first_few
from oaa_pl.home import expanded_path

__all__ = ["BackgroundCue", "ChecksAhead", "ConstantCue", "FolderCue"]


class BackgroundCue(Protocol):
    """Anything that turns a photo into saliency."""

    def __call__(self, image_id: str, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Saliency of one photo: (H, W, 3) uint8 RGB to (H, W) float32 in [0, 1]."""
        ...


@runtime_checkable
class ChecksAhead(Protocol):
    """A cue that knows, before hours of training, which photos it will have nothing for."""

    def require(self, ids: Sequence[str]) -> None:
        """Refuse photos without saliency by a `MissingInputError`; ids of photos, N."""
        ...


class FolderCue:
    """Somebody's saliency maps, one grayscale image `<folder>/<image id>.png` a photo.

    Args:
        folder: where the maps are; none is an error that says how to give it.
        fallback: the cue for photos without a map; none makes a missing map an error.

    Raises:
        MissingInputError: if the folder is not given or does not exist.
    """

    def __init__(self, folder: str | Path | None, fallback: BackgroundCue | None = None) -> None:
        if folder is None:
            raise MissingInputError(
                "background.folder is not set: give the folder of the saliency maps by "
                "data.saliency=<folder>, or use background=boundary, which needs none"
            )
        self.folder = expanded_path(folder)
        self.fallback = fallback
        if not self.folder.is_dir():
            raise MissingInputError(
                f"background.folder '{self.folder}' is not a folder; give the folder of the "
                f"saliency maps, or use background=boundary, which needs none"
            )

    def __call__(self, image_id: str, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Read the map of one photo.

        Args:
            image_id: names the file.
            photo: RGB, (H, W, 3); gives the size that the map must have.

        Returns:
            Saliency in [0, 1], (H, W).

        Raises:
            MissingInputError: if the photo has no map and there is no fallback.
            BadMaskError: if the map cannot be read, is a colour picture or has another size.
        """
        path = self.folder / f"{image_id}.png"
        if not path.is_file():
            if self.fallback is not None:
                return self.fallback(image_id, photo)
            raise MissingInputError(
                f"image '{image_id}' has no saliency map '{path}'; add it, set "
                f"background.fallback, or use background=boundary, which needs none"
            )
        saliency = _read_gray(path)
        if saliency.shape != photo.shape[:2]:
            raise BadMaskError(
                f"saliency map '{path}' is {saliency.shape} but its photo is {photo.shape[:2]} "
                f"(height, width); make it at the photo's size"
            )
        return saliency

    def require(self, ids: Sequence[str]) -> None:
        """Refuse to start where maps are missing that no fallback makes up for.

        Args:
            ids: of all photos that the cue will be asked for, N.

        Raises:
            MissingInputError: with the first few that lack a map, and their number.
        """
        bare = [name for name in ids if not (self.folder / f"{name}.png").is_file()]
        if not bare:
            return
        fallback = self.fallback
        if fallback is None:
            raise MissingInputError(
                f"background.folder '{self.folder}' lacks the saliency maps of {len(bare)} of "
                f"{len(ids)} photos: {first_few(bare)}; add <id>.png for each, set "
                f"background.fallback, or use background=boundary, which needs none"
            )
        if isinstance(fallback, ChecksAhead):
            fallback.require(bare)


class ConstantCue:
    """No cue at all: every pixel of every photo is as likely an object.

    The background's score becomes `1 - value` everywhere, a plain threshold on the attention.

    Args:
        value: the saliency, 0..1.

    Raises:
        ConfigError: if the value is not in [0, 1].
    """

    def __init__(self, value: float) -> None:
        if not 0 <= value <= 1:
            raise ConfigError(f"background.value must be in [0, 1], got {value}")
        self.value = value

    def __call__(self, image_id: str, photo: NDArray[np.uint8]) -> NDArray[np.float32]:  # noqa: ARG002  # the cue's interface
        """The constant, whatever the photo.

        Args:
            image_id: not used.
            photo: RGB, (H, W, 3); gives the size.

        Returns:
            The value everywhere, (H, W).
        """
        return np.full(photo.shape[:2], self.value, dtype=np.float32)


def _read_gray(path: Path) -> NDArray[np.float32]:
    """Gray levels of an image file as shares of white: (H, W) float32 in [0, 1]."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16-bit grayscale
                return np.asarray(image, dtype=np.float32) / np.float32(65535)
            # Many tools save gray as three equal channels: those are welcome, colours are not.
            colours = np.asarray(image.convert("RGB"))
            mode = image.mode
    except unreadable.IMAGE as error:
        raise BadMaskError(
            f"saliency map '{path}' cannot be read as an image ({error}); make it again"
        ) from error
    if (colours != colours[..., :1]).any():
        raise BadMaskError(
            f"saliency map '{path}' must be grayscale, got a colour picture (mode {mode}); "
            f"white is an object, black is background"
        )
    return colours[..., 0].astype(np.float32) / np.float32(255)
