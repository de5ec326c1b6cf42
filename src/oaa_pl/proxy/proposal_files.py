"""Mask proposals from files, in the forms that models write them.

Shapes: H x W pixels of a photo, N proposals.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.errors import BadMaskError, ConfigError, MissingInputError, first_few
from oaa_pl.files.home import expanded_path
from oaa_pl.files.rle import mask_of

__all__ = ["ProposalFolder", "files_of"]

_FORMS = "<id>.json (COCO's run lengths), <id>.npz (masks), <id>.png (labels) or <id>/*.png (masks)"


class ProposalFolder:
    """Proposals of each photo in a folder, in one of four forms.

    `<id>.json`: a list of COCO's run lengths, or of objects with them as `segmentation`, or an
    object with that list as `annotations`. `<id>.npz`: one array (N, H, W), not 0 inside a mask.
    `<id>.png`: one picture (H, W) of numbers, each number but 0 a proposal. `<id>/`: a PNG (H, W)
    for each mask, not 0 inside of it.

    Args:
        folder: of the files; None is an error.

    Raises:
        MissingInputError: if the folder is None or does not exist.
    """

    def __init__(self, folder: str | Path | None) -> None:
        if folder is None:
            raise MissingInputError(
                f"refine=proposals needs data.proposals=<folder>, with {_FORMS} for each photo; "
                "or take refine=superpixels, which needs none"
            )
        self.folder = expanded_path(folder)
        if not self.folder.is_dir():
            raise MissingInputError(
                f"data.proposals '{self.folder}' is not a folder; give the one with {_FORMS}"
            )

    def __call__(self, image_id: str, photo: NDArray[np.uint8]) -> Iterator[NDArray[np.bool_]]:  # noqa: ARG002  # the interface of proposals
        """The masks of one photo, one after another.

        Args:
            image_id: name of the file or folder.
            photo: not used: the masks have to have its size.

        Raises:
            MissingInputError: if the photo has no proposals.
            ConfigError: if it has them in two forms.
            BadMaskError: if they cannot be read.
        """
        path = self.path_of(image_id)
        read = {".json": _from_json, ".npz": _from_arrays, ".png": _from_numbers}
        try:
            yield from read.get(path.suffix, _from_pictures)(path)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise BadMaskError(f"'{path}' cannot be read ({error})") from error

    def path_of(self, image_id: str) -> Path:
        """Where the proposals of a photo are.

        Args:
            image_id: of the photo.

        Raises:
            MissingInputError: if the photo has no proposals.
            ConfigError: if there are two forms.
        """
        found = _places(self.folder, image_id)
        if not found:
            raise MissingInputError(
                f"image '{image_id}' has no proposals in '{self.folder}'; add {_FORMS}"
            )
        if len(found) > 1:
            raise ConfigError(
                f"image '{image_id}' has its proposals twice, {found[0].name} and "
                f"{found[1].name}; keep one of them in '{self.folder}'"
            )
        return found[0]

    def require(self, ids: Sequence[str]) -> None:
        """Refuse to start if photos have no proposals.

        Args:
            ids: of all photos that will need them, N.

        Raises:
            MissingInputError: if one has none.
            ConfigError: if one has two forms.
        """
        missing = []
        for image_id in ids:
            try:
                self.path_of(image_id)
            except MissingInputError:
                missing.append(image_id)
        if missing:
            raise MissingInputError(
                f"data.proposals '{self.folder}' lacks {len(missing)} of {len(ids)} photos: "
                f"{first_few(missing)}; add {_FORMS} for each"
            )


def files_of(folder: Path, image_id: str) -> list[Path]:
    """All files that hold a photo's proposals.

    Args:
        folder: of all photos' proposals.
        image_id: of the photo.
    """
    places = _places(folder, image_id)
    return [
        file for one in places for file in (sorted(one.glob("*.png")) if one.is_dir() else [one])
    ]


def _places(folder: Path, image_id: str) -> list[Path]:
    files = [folder / f"{image_id}{ending}" for ending in (".json", ".npz", ".png")]
    return [f for f in files if f.is_file()] + [d for d in [folder / image_id] if d.is_dir()]


def _from_json(path: Path) -> Iterator[NDArray[np.bool_]]:
    held: Any = json.loads(path.read_text("utf-8"))
    listed = held.get("annotations") if isinstance(held, Mapping) else held
    if not isinstance(listed, list):
        raise ValueError(f"a list of masks is needed, got {type(listed).__name__}")
    for one in listed:
        yield mask_of(one.get("segmentation", one) if isinstance(one, Mapping) else one)


def _from_arrays(path: Path) -> Iterator[NDArray[np.bool_]]:
    with np.load(path, allow_pickle=False) as held:
        if len(held.files) != 1 or held[held.files[0]].ndim != 3:
            raise ValueError(f"one array (N, H, W) is needed, got {held.files}")
        for mask in held[held.files[0]]:
            yield mask != 0


def _from_numbers(path: Path) -> Iterator[NDArray[np.bool_]]:
    numbers = _pixels(path)
    for number in np.unique(numbers[numbers != 0]):
        yield numbers == number


def _from_pictures(path: Path) -> Iterator[NDArray[np.bool_]]:
    for picture in sorted(path.glob("*.png")):
        yield _pixels(picture) != 0


def _pixels(path: Path) -> NDArray[Any]:
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    if pixels.ndim != 2:
        raise ValueError(f"{path.name} must have one number for each pixel, got {pixels.shape}")
    return pixels
