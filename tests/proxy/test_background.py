from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

from oaa_pl.errors import BadMaskError, ConfigError, MissingInputError
from oaa_pl.proxy.background import ConstantCue, FolderCue
from oaa_pl.proxy.boundary_cue import BoundaryCue

CONF = Path(__file__).parents[2] / "conf" / "background"
PHOTO = np.zeros((4, 6, 3), dtype=np.uint8)
LEVELS = np.linspace(0, 255, 24).astype(np.uint8).reshape(4, 6)


def save(folder: Path, image: Image.Image) -> FolderCue:
    image.save(folder / "a.png")
    return FolderCue(folder)


def gray() -> Image.Image:
    return Image.fromarray(LEVELS)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_a_gray_map_is_read_however_it_was_saved(tmp_path: Path, mode: str) -> None:
    saliency = save(tmp_path, gray().convert(mode))("a", PHOTO)
    assert saliency.dtype == np.float32
    assert np.array_equal(saliency, LEVELS.astype(np.float32) / np.float32(255))


def test_a_map_of_sixteen_bits_is_read(tmp_path: Path) -> None:
    image = Image.fromarray(LEVELS.astype(np.uint16) * 257)
    assert np.allclose(save(tmp_path, image)("a", PHOTO), LEVELS / 255, atol=1e-6)


def test_a_map_of_black_and_white_is_read(tmp_path: Path) -> None:
    image = Image.fromarray(LEVELS > 100)
    assert (save(tmp_path, image)("a", PHOTO) == (LEVELS > 100)).all()


def test_a_colour_picture_is_no_saliency(tmp_path: Path) -> None:
    cue = save(tmp_path, Image.new("RGB", (6, 4), (10, 20, 30)))
    with pytest.raises(BadMaskError, match=r"a.png' must be grayscale, got .*mode RGB"):
        cue("a", PHOTO)


def test_a_map_of_another_size_is_named(tmp_path: Path) -> None:
    cue = save(tmp_path, gray().resize((4, 6)))
    with pytest.raises(BadMaskError, match=r"a.png' is \(6, 4\) but its photo is \(4, 6\)"):
        cue("a", PHOTO)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_damaged_map_is_named(tmp_path: Path, share: float) -> None:
    cue = save(tmp_path, gray())
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: int(share * len(content))])
    with pytest.raises(BadMaskError, match=r"a.png' cannot be read"):
        cue("a", PHOTO)


def test_a_missing_map_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"'b' has no saliency.*background=boundary"):
        FolderCue(tmp_path)("b", PHOTO)


def test_a_missing_map_can_be_stood_in_for(tmp_path: Path) -> None:
    save(tmp_path, gray())
    cue = FolderCue(tmp_path, fallback=ConstantCue(0.5))
    assert (cue("b", PHOTO) == 0.5).all()
    assert cue("a", PHOTO).max() == 1


@pytest.mark.parametrize("folder", [None, "absent"])
def test_a_missing_folder_is_named_at_once(tmp_path: Path, folder: str | None) -> None:
    with pytest.raises(MissingInputError, match=r"background.folder .*background=boundary"):
        FolderCue(folder and tmp_path / folder)


def test_maps_that_lack_are_known_before_they_are_asked_for(tmp_path: Path) -> None:
    ids = [str(number) for number in range(9)]
    cue = save(tmp_path, gray())
    (tmp_path / "a.png").rename(tmp_path / "3.png")
    cue.require(["3"])
    match = r"lacks the saliency maps of 8 of 9 photos: 0, 1, 2, 4, 5, \.\.\.; add <id>\.png"
    with pytest.raises(MissingInputError, match=match):
        cue.require(ids)


def test_a_fallback_makes_up_for_maps_that_lack_if_it_can(tmp_path: Path) -> None:
    full, bare = tmp_path / "full", tmp_path / "bare"
    full.mkdir()
    bare.mkdir()
    save(full, gray())
    FolderCue(bare, ConstantCue(0.5)).require(["a", "b"])
    FolderCue(bare, FolderCue(full)).require(["a"])
    with pytest.raises(MissingInputError, match=r"full' lacks the saliency maps of 1 of 2"):
        FolderCue(bare, FolderCue(full)).require(["a", "b"])


def test_a_constant_is_the_same_everywhere() -> None:
    saliency = ConstantCue(0.25)("anything", PHOTO)
    assert saliency.shape == (4, 6)
    assert saliency.dtype == np.float32
    assert (saliency == 0.25).all()


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_constant_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=r"background.value must be in \[0, 1\]"):
        ConstantCue(value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("boundary", BoundaryCue), ("folder", FolderCue), ("constant", ConstantCue)],
)
def test_every_cue_is_built_from_its_configuration(tmp_path: Path, name: str, kind: type) -> None:
    config = OmegaConf.create(
        {
            "runs": str(tmp_path),
            "data": {"name": "voc12", "saliency": str(tmp_path)},
            "background": OmegaConf.load(CONF / f"{name}.yaml"),
        }
    )
    assert isinstance(instantiate(config.background), kind)


@pytest.mark.parametrize("kind", ["float", "sixteen bits"])
def test_a_map_of_more_than_eight_bits_is_read_as_shares_of_white(
    tmp_path: Path, kind: str
) -> None:
    share = (LEVELS / 255).astype(np.float32)
    image = Image.fromarray(share if kind == "float" else (share * 65535).astype(np.uint16))
    image.save(tmp_path / "a.png", "TIFF")
    assert np.allclose(FolderCue(tmp_path)("a", PHOTO), share, atol=1e-4)


@pytest.mark.parametrize("odd", [300.0, -0.5, np.nan])
def test_a_floating_map_beyond_0_and_1_is_named(tmp_path: Path, odd: float) -> None:
    share = (LEVELS / 255).astype(np.float32)
    share[1, 1] = odd
    Image.fromarray(share).save(tmp_path / "a.png", "TIFF")
    with pytest.raises(BadMaskError, match=r"a.png' \(mode F\) must hold 0 to 1, got"):
        FolderCue(tmp_path)("a", PHOTO)


def test_a_palette_map_with_clear_entries_is_read(tmp_path: Path) -> None:
    image = gray().convert("P")
    image.save(tmp_path / "a.png", transparency=bytes(256))
    assert np.allclose(FolderCue(tmp_path)("a", PHOTO), LEVELS / 255)


def test_a_map_with_an_orientation_of_its_own_is_named(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    gray().save(tmp_path / "a.png", exif=exif)
    cue = FolderCue(tmp_path)
    with pytest.raises(BadMaskError, match="orientation tag of its own"):
        cue("a", PHOTO)
    with pytest.raises(BadMaskError, match="orientation tag of its own"):
        cue.require_fit({"a": (4, 6)})


def test_maps_of_another_size_are_known_before_they_are_asked_for(tmp_path: Path) -> None:
    cue = save(tmp_path, gray())
    gray().resize((4, 6)).save(tmp_path / "b.png")
    cue.require_fit({"a": (4, 6)})
    with pytest.raises(BadMaskError, match=r"b.png' is \(6, 4\) .* make it turned as the photo"):
        cue.require_fit({"a": (4, 6), "b": (4, 6)})
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(BadMaskError, match=r"b.png is empty"):
        cue.require_fit({"a": (4, 6), "b": (4, 6)})


def test_maps_that_are_all_but_black_are_known_before_they_are_asked_for(tmp_path: Path) -> None:
    """As 0 and 1 saved in 8 bits, or 8 bits in 16: nothing would be an object."""
    for number in range(3):
        Image.fromarray((LEVELS > 100).astype(np.uint8)).save(tmp_path / f"{number}.png")
    sizes = {str(number): (4, 6) for number in range(3)}
    with pytest.raises(BadMaskError, match="none of 3 saliency maps has a pixel above 3% of white"):
        FolderCue(tmp_path).require_fit(sizes)
    gray().save(tmp_path / "1.png")
    FolderCue(tmp_path).require_fit(sizes)


def test_a_fallback_is_asked_ahead_about_the_photos_that_it_stands_in_for(tmp_path: Path) -> None:
    full, bare = tmp_path / "full", tmp_path / "bare"
    full.mkdir()
    bare.mkdir()
    save(full, gray())
    FolderCue(bare, FolderCue(full)).require_fit({"a": (4, 6)})
    FolderCue(bare, ConstantCue(0.5)).require_fit({"a": (1, 1)})
    with pytest.raises(BadMaskError, match=r"a.png' is \(4, 6\) but its photo is \(5, 6\)"):
        FolderCue(bare, FolderCue(full)).require_fit({"a": (5, 6)})
