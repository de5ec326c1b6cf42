"""Background cues: how much each pixel of a photo looks like an object of any class.

Source: Jiang et al., ICCV 2019, section 4.1, uses saliency maps. Here the cue is a choice:
`folder`, `onnx` (see `proxy.onnx_cue`), `boundary` (see `proxy.boundary_cue`) or `constant`.

Shapes: a photo is (H, W, 3) uint8 RGB, its saliency (H, W) float32 in [0, 1], 1 for an object.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import (
    BadImageError,
    BadMaskError,
    ConfigError,
    MissingImageError,
    MissingInputError,
    first_few,
)
from oaa_pl.files.home import expanded_path
from oaa_pl.files.image import is_there, read_header
from oaa_pl.proxy.saliency_map import check_size, read_saliency, refuse_turned

__all__ = ["BackgroundCue", "ChecksAhead", "ChecksFit", "ConstantCue", "FolderCue"]

_LOOKED_AT = 50  # maps whose pixels are read before training
_VISIBLE = 8 / 255  # share of white. Maps that were saved with levels 0 and 1 stay below it.


class BackgroundCue(Protocol):
    """A function of a photo that returns its saliency."""

    def __call__(self, image_id: str, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Saliency of one photo: (H, W, 3) uint8 RGB to (H, W) float32 in [0, 1]."""
        ...


@runtime_checkable
class ChecksAhead(Protocol):
    """A cue that can check before training whether every photo has saliency."""

    def require(self, ids: Sequence[str]) -> None:
        """Raise `MissingInputError` if one of these photos has no saliency; N ids."""
        ...


@runtime_checkable
class ChecksFit(Protocol):
    """A cue that can check before training whether its saliency fits the photos."""

    def require_fit(self, sizes: Mapping[str, tuple[int, int]]) -> None:
        """Raise `BadMaskError` if saliency does not fit; photo id to its pixels (H, W)."""
        ...


class FolderCue:
    """Saliency maps from files: one grayscale image `<folder>/<image id>.png` for each photo.

    8 or 16 bits, or floating point in [0, 1]; of the photo's size, as the photo is shown.

    Args:
        folder: folder of the maps; None is an error.
        fallback: cue for photos without a map; None: a missing map is an error.

    Raises:
        MissingInputError: if the folder is None or does not exist.
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
            image_id: name of the file without `.png`.
            photo: RGB, (H, W, 3); the map must have its size.

        Returns:
            Saliency in [0, 1], (H, W).

        Raises:
            MissingInputError: if the photo has no map and there is no fallback.
            BadMaskError: if the map cannot be read, is a colour picture or has another size.
        """
        path = self.folder / f"{image_id}.png"
        if not is_there(path):
            if self.fallback is not None:
                return self.fallback(image_id, photo)
            raise MissingInputError(
                f"image '{image_id}' has no saliency map '{path}'; add it, set "
                f"background.fallback, or use background=boundary, which needs none"
            )
        saliency = read_saliency(path)
        check_size(saliency.shape, path, photo.shape[:2])
        return saliency

    def require(self, ids: Sequence[str]) -> None:
        """Refuse to start if maps are missing and there is no fallback.

        Args:
            ids: of all photos that will need saliency, N.

        Raises:
            MissingInputError: with the first few photos without a map, and their number.
        """
        bare = [name for name in ids if not is_there(self.folder / f"{name}.png")]
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

    def require_fit(self, sizes: Mapping[str, tuple[int, int]]) -> None:
        """Refuse to start if maps cannot be used. Reads all headers, and the pixels of a few.

        Args:
            sizes: id to pixels (H, W) of each photo that will need saliency, N.

        Raises:
            BadMaskError: if a map has no readable header or another size than its photo, or if
                the maps that are read are almost black.
        """
        paths = {name: self.folder / f"{name}.png" for name in sizes}
        there = [name for name, path in paths.items() if is_there(path)]

        def check(name: str) -> None:
            try:
                header = read_header(paths[name])
            except (MissingImageError, BadImageError) as error:
                raise BadMaskError(f"saliency map {error}") from error
            refuse_turned(header, paths[name])
            check_size(header.size, paths[name], sizes[name])

        with ThreadPoolExecutor() as pool:  # most of it is waiting for the disk
            list(pool.map(check, there))
        self.require_visible(there)
        fallback: object = self.fallback
        if isinstance(fallback, ChecksFit):
            fallback.require_fit({n: size for n, size in sizes.items() if n not in there})

    def require_visible(self, ids: Sequence[str]) -> None:
        """Refuse maps if a few of them, evenly spread, are all almost black.

        Args:
            ids: of photos that have a map.

        Raises:
            BadMaskError: if none of their pixels is above 3 % of white, or one cannot be read.
        """
        looked_at = ids[:: -(-len(ids) // _LOOKED_AT) or 1]
        paths = {name: self.folder / f"{name}.png" for name in looked_at}
        if looked_at and max(read_saliency(paths[n]).max(initial=0) for n in looked_at) < _VISIBLE:
            raise BadMaskError(
                f"background.folder '{self.folder}': none of {len(looked_at)} saliency maps has a "
                f"pixel above {_VISIBLE:.0%} of white, so nothing would be an object; stretch them "
                f"to 0..255, or use background=boundary, which needs none"
            )


class ConstantCue:
    """No cue: the same saliency at every pixel of every photo.

    The background's score becomes `1 - value` everywhere, which is a threshold on attention.

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
        """The constant saliency.

        Args:
            image_id: not used.
            photo: RGB, (H, W, 3); gives the size.

        Returns:
            The value everywhere, (H, W).
        """
        return np.full(photo.shape[:2], self.value, dtype=np.float32)
