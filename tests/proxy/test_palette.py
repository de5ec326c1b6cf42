from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oaa_pl.errors import BadMaskError, MissingMaskError, OutputError
from oaa_pl.proxy.palette import load_label, save_label, voc_palette

# Everingham et al., the development kit's colours of background, the 20 classes in order, void.
KNOWN = {
    0: (0, 0, 0),
    1: (128, 0, 0),
    2: (0, 128, 0),
    3: (128, 128, 0),
    4: (0, 0, 128),
    8: (64, 0, 0),
    12: (64, 0, 128),
    15: (192, 128, 128),
    20: (0, 64, 128),
    255: (224, 224, 192),
}


def palette_by_loops() -> np.ndarray:
    """The development kit's definition, bit by bit."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    for label in range(256):
        red = green = blue = 0
        rest = label
        for shift in range(7, -1, -1):
            red |= (rest & 1) << shift
            green |= (rest >> 1 & 1) << shift
            blue |= (rest >> 2 & 1) << shift
            rest >>= 3
        palette[label] = red, green, blue
    return palette


def test_the_palette_is_the_development_kits() -> None:
    assert (voc_palette() == palette_by_loops()).all()
    assert {label: tuple(voc_palette()[label].tolist()) for label in KNOWN} == KNOWN


def test_every_id_has_a_colour_of_its_own() -> None:
    assert len({tuple(colour) for colour in voc_palette().tolist()}) == 256


def test_every_id_survives_the_file(tmp_path: Path) -> None:
    label = np.arange(256, dtype=np.uint8).reshape(8, 32)
    save_label(tmp_path / "labels" / "a.png", label)
    assert (load_label(tmp_path / "labels" / "a.png") == label).all()
    assert load_label(tmp_path / "labels" / "a.png").dtype == np.uint8


def test_a_viewer_shows_the_palettes_colours(tmp_path: Path) -> None:
    label = np.array([[0, 15], [255, 1]], dtype=np.uint8)
    save_label(tmp_path / "a.png", label)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        assert (np.array(image.convert("RGB")) == voc_palette()[label]).all()


def test_the_same_label_gives_the_same_bytes(tmp_path: Path) -> None:
    label = np.random.default_rng(0).integers(0, 21, (30, 40), dtype=np.uint8)
    for name in ("a.png", "b.png"):
        save_label(tmp_path / name, label)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("label", [np.zeros((2, 2), int), np.zeros((2, 2, 3), np.uint8)])
def test_only_ids_are_saved(tmp_path: Path, label: np.ndarray) -> None:
    with pytest.raises(BadMaskError, match=r"must be \(H, W\) uint8, got"):
        save_label(tmp_path / "a.png", label)
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        save_label(tmp_path / "a.png", np.zeros((2, 2), np.uint8))


def test_a_grayscale_label_is_read_as_ids(tmp_path: Path) -> None:
    label = np.array([[0, 15], [255, 1]], dtype=np.uint8)
    Image.fromarray(label).save(tmp_path / "a.png")
    assert (load_label(tmp_path / "a.png") == label).all()


def test_a_missing_label_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingMaskError, match=r"a.png' does not exist"):
        load_label(tmp_path / "a.png")


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_damaged_label_is_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.png"
    save_label(path, np.random.default_rng(0).integers(0, 21, (99, 99), dtype=np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BadMaskError, match=r"a.png' cannot be read"):
        load_label(path)


def test_a_colour_picture_is_no_label(tmp_path: Path) -> None:
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    with pytest.raises(BadMaskError, match="got mode RGB; save class ids, not colours"):
        load_label(tmp_path / "a.png")
