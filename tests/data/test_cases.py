"""Small inputs that went wrong, where this machine has them; the kinds are tested beside."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import shared

from oaa_pl.data.images import photo_size, read_photo
from oaa_pl.data.source import FileSource
from oaa_pl.errors import BadMaskError


@pytest.mark.parametrize(
    "name", ["exif-orientation-6-ascii-resolution.jpg", "xmp-orientation-6.jpg"]
)
def test_a_photo_that_went_wrong_is_read_and_turned(name: str) -> None:
    path = shared(f"cases/photos/{name}")
    with Image.open(path) as image:
        stored = np.asarray(image.convert("RGB"))
    assert photo_size(path) == (stored.shape[1], stored.shape[0])
    assert (read_photo(path) == np.rot90(stored, -1)).all()


def test_an_object_that_is_painted_as_255_is_refused(tmp_path: Path) -> None:
    mask = shared("cases/masks/object-is-255.png")
    with Image.open(mask) as image:
        Image.new("RGB", image.size).save(tmp_path / "a.png")
    source = FileSource(
        "folder", "train", ("cat", "dog"), ["a"], np.array([[1, 0]], np.uint8),
        [tmp_path / "a.png"], [mask],
    )  # fmt: skip
    with pytest.raises(BadMaskError, match="255 covers an area, not a border"):
        source.mask(0)
