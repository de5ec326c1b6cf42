from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oaa_pl.data.images import (
    check_mask,
    find_photo,
    image_id,
    list_photos,
    photo_size,
    read_mask,
    read_photo,
)
from oaa_pl.errors import BadImageError, BadMaskError, MissingImageError, MissingMaskError

RGB = np.zeros((20, 30, 3), dtype=np.uint8)
RGB[:, :15] = (200, 40, 40)
RGB[:, 15:] = (40, 40, 200)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".jpg", ".jpeg"])
def test_a_photo_is_rgb_in_any_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(RGB).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    photo = read_photo(path)
    assert photo.dtype == np.uint8
    assert photo_size(path) == photo.shape[:2] == (20, 30)
    assert abs(photo[:, 3:12].astype(int) - (200, 40, 40)).max() < 40


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "LA", "1"])
def test_a_photo_of_any_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    image = Image.fromarray(RGB).convert(mode)
    image.save(path)
    expected = image.convert("RGB")
    np.testing.assert_array_equal(read_photo(path), np.asarray(expected))


def test_sixteen_bits_keep_their_shades(tmp_path: Path) -> None:
    shades = (np.arange(600, dtype=np.uint16) * 100).reshape(20, 30)
    Image.fromarray(shades).save(tmp_path / "photo.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png")[..., 1], shades >> 8)


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    clear = np.dstack([RGB, np.zeros((20, 30), dtype=np.uint8)])
    Image.fromarray(clear).save(tmp_path / "photo.png")
    assert (read_photo(tmp_path / "photo.png") == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    back = {1: 0, 2: None, 3: 2, 4: None, 5: None, 6: 1, 7: None, 8: 3}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    Image.fromarray(RGB).save(path, exif=exif)
    photo = read_photo(path)
    assert photo_size(path) == photo.shape[:2]
    if back is not None:  # those that are plain turns; 6: the camera was held a quarter to the left
        np.testing.assert_array_equal(np.rot90(photo, back), RGB)


@pytest.mark.parametrize("read", [photo_size, read_photo])
def test_an_empty_photo_is_named(tmp_path: Path, read: object) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(BadImageError, match=r"empty\.jpg is empty \(0 bytes\)"):
        read(path)


@pytest.mark.parametrize("read", [photo_size, read_photo])
def test_a_text_file_is_no_photo(tmp_path: Path, read: object) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("not a photo")
    with pytest.raises(BadImageError, match=r"notes\.jpg is not a readable image"):
        read(path)


@pytest.mark.parametrize("read", [photo_size, read_photo])
def test_a_photo_that_is_not_there_is_named(tmp_path: Path, read: object) -> None:
    with pytest.raises(MissingImageError, match=r"gone\.jpg does not exist"):
        read(tmp_path / "gone.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_photo_cut_short_is_named_in_one_line(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BadImageError, match=r"photo\.\w+ is not a readable image") as caught:
        read_photo(path)
    assert "\n" not in str(caught.value)


def test_a_palette_mask_gives_its_indices(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.frombytes("P", (4, 3), ids.tobytes())
    image.putpalette(bytes(range(255, -1, -1)) * 3)
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), ids)


def test_a_gray_mask_gives_its_values(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(ids).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), ids)


def test_a_mask_of_colours_is_refused(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "mask.png")
    with pytest.raises(BadMaskError, match="mode RGB, expected class ids"):
        read_mask(tmp_path / "mask.png")


def test_a_mask_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingMaskError, match=r"gone\.png does not exist"):
        read_mask(tmp_path / "gone.png")


def test_a_broken_mask_is_named(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(BadMaskError, match=r"mask .*mask\.png is not a readable image"):
        read_mask(tmp_path / "mask.png")


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(BadMaskError, match=r"a\.png is 4 x 3 px but its photo is 5 x 3 px"):
        check_mask(np.zeros((3, 4), dtype=np.uint8), Path("a.png"), 2, (3, 5))


@pytest.mark.parametrize("foreign", [3, 4, 254])
def test_a_mask_with_an_id_outside_the_classes_is_refused(foreign: int) -> None:
    mask = np.full((3, 4), foreign, dtype=np.uint8)
    with pytest.raises(BadMaskError, match=rf"a\.png has the ids \[{foreign}\], expected 0\.\.2"):
        check_mask(mask, Path("a.png"), 2, (3, 4))


def test_background_classes_and_ignored_are_a_good_mask() -> None:
    check_mask(np.array([[0, 1, 2, 255]], dtype=np.uint8), Path("a.png"), 2, (1, 4))


def test_photos_are_found_by_suffix_in_subfolders(tmp_path: Path) -> None:
    names = ["b.JPG", "a.png", "deep/c.webp", "notes.txt", ".hidden.jpg", ".cache/d.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in list_photos(tmp_path)]
    assert found == ["a.png", "b.JPG", "deep/c.webp"]


def test_a_folder_that_is_not_there_has_no_photos(tmp_path: Path) -> None:
    assert list_photos(tmp_path / "gone") == []


@pytest.mark.parametrize("name", ["one", "one.JPG", "deep/two", "deep/two.png", "v1.2"])
def test_a_photo_is_found_with_and_without_its_suffix(tmp_path: Path, name: str) -> None:
    (tmp_path / "deep").mkdir()
    files = {"one": "one.JPG", "deep/two": "deep/two.png", "v1.2": "v1.2.bmp"}
    for file in files.values():
        (tmp_path / file).touch()
    assert find_photo(tmp_path, name) == tmp_path / files.get(name, name)


def test_a_photo_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert find_photo(tmp_path, "gone.jpg") is None


def test_an_id_is_safe_as_a_file_name() -> None:
    assert image_id("deep/er/cat.jpeg") == "deep__er__cat"
