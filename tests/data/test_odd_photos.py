"""Photos of every kind that people have: turned, deep, clear, of many pages, broken, huge."""

import logging
import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from tests.data.odd_images import (
    XMP,
    Tag,
    as_bytes,
    exif_block,
    orientation_tag,
    photo,
    png_chunk,
    with_late_chunk,
)

from oaa_pl.data.images import photo_size, read_photo
from oaa_pl.data.source import FileSource
from oaa_pl.errors import BadImageError

ASCII_RESOLUTION: Tag = (282, 2, 3, b"72\0\0")
OUT_OF_FILE: Tag = (271, 2, 400, struct.pack("<L", 2**30))
UNKNOWN_TYPE: Tag = (270, 77, 1, b"abcd")
ODD_GPS: Tag = (34853, 4, 1, struct.pack("<L", 2**31))
NO_NUMBER: Tag = (283, 5, 1, struct.pack("<L", 2**31))
RAMP = np.linspace(0, 1, 600).reshape(20, 30)


def turned(value: int) -> np.ndarray:
    """The sample photo as an orientation turns it, by Pillow's own function."""
    image = Image.fromarray(photo())
    image.getexif()[274] = value
    return np.asarray(ImageOps.exif_transpose(image))


def require_turned(path: Path, value: int) -> None:
    expected = turned(value)
    assert photo_size(path) == expected.shape[:2]
    assert abs(read_photo(path).astype(int) - expected).mean() < 25  # JPEG; a wrong turn has 60


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize(
    "odd",
    [[ASCII_RESOLUTION], [OUT_OF_FILE], [UNKNOWN_TYPE], [ODD_GPS], [NO_NUMBER, ODD_GPS]],
    ids=["ascii resolution", "make out of file", "unknown type", "gps", "no number"],
)
def test_only_the_orientation_tag_matters(tmp_path: Path, odd: list[Tag], value: int) -> None:
    block = exif_block(sorted([*odd, orientation_tag(value)]))
    path = tmp_path / "photo.jpg"
    path.write_bytes(as_bytes(Image.fromarray(photo()), "JPEG", exif=b"Exif\0\0" + block))
    require_turned(path, value)


def test_a_directory_that_claims_too_many_tags_still_turns(tmp_path: Path) -> None:
    block = exif_block([orientation_tag(6, ">")], ">", declared=999)
    (tmp_path / "photo.jpg").write_bytes(
        as_bytes(Image.fromarray(photo()), "JPEG", exif=b"Exif\0\0" + block)
    )
    require_turned(tmp_path / "photo.jpg", 6)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_xmp_turns_size_and_pixels_alike(tmp_path: Path, kind: str, value: int) -> None:
    path = tmp_path / "photo.any"
    options = {"lossless": True} if kind == "WEBP" else {}
    image = Image.fromarray(photo())
    path.write_bytes(as_bytes(image, kind, xmp=XMP.format(value).encode(), **options))
    require_turned(path, value)


@pytest.mark.parametrize("value", range(1, 9))
def test_exif_comes_before_xmp(tmp_path: Path, value: int) -> None:
    path = tmp_path / "photo.jpg"
    exif = b"Exif\0\0" + exif_block([orientation_tag(value)])
    image = Image.fromarray(photo())
    path.write_bytes(as_bytes(image, "JPEG", exif=exif, xmp=XMP.format(6).encode()))
    require_turned(path, value)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("where", ["early exif", "late exif", "xmp", "late xmp", "raw profile"])
def test_a_png_is_turned_wherever_its_notes_lie(tmp_path: Path, where: str, value: int) -> None:
    block = exif_block([orientation_tag(value)])
    text = PngImagePlugin.PngInfo()
    xmp = XMP.format(value)
    if where == "xmp":
        text.add_itxt("XML:com.adobe.xmp", xmp)
    if where == "raw profile":
        text.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n")
    early = {"exif": block} if where == "early exif" else {}
    png = as_bytes(Image.fromarray(photo()), "PNG", pnginfo=text, **early)
    if where == "late exif":
        png = with_late_chunk(png, b"eXIf", block)
    if where == "late xmp":
        png = with_late_chunk(png, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp.encode())
    (tmp_path / "photo.png").write_bytes(png)
    require_turned(tmp_path / "photo.png", value)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("tag", [274, 700], ids=["orientation", "xmp"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_is_turned_once(
    tmp_path: Path, tag: int, compression: str | None, value: int
) -> None:
    info = ImageFileDirectory_v2()
    info[tag] = value if tag == 274 else XMP.format(value).encode()
    path = tmp_path / "photo.tif"
    Image.fromarray(photo()).save(path, tiffinfo=info, compression=compression)
    require_turned(path, value)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_what_is_no_orientation_turns_nothing(tmp_path: Path, value: int) -> None:
    path = tmp_path / "photo.jpg"
    exif = b"Exif\0\0" + exif_block([orientation_tag(value)])
    path.write_bytes(as_bytes(Image.fromarray(photo()), "JPEG", exif=exif))
    require_turned(path, 1)


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_few_bits_in_sixteen_are_scaled_by_their_own_range(
    tmp_path: Path, suffix: str, bits: int
) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.fromarray((RAMP * (2**bits - 1)).astype(np.uint16)).save(path)
    seen = read_photo(path)
    assert (seen.min(), seen.max()) == (0, 255)
    assert abs(seen[..., 1] - RAMP * 255).max() < 2


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_few_bits_in_sixteen_are_scaled_as_well(
    tmp_path: Path, suffix: str, bits: int, channels: int
) -> None:
    colour = np.stack([RAMP, RAMP[::-1], RAMP * 0.5, np.ones_like(RAMP)], axis=2)[..., :channels]
    samples = (colour * (2**bits - 1)).astype(np.uint16)
    if channels == 4:
        samples[..., 3] = 65535
    ok, content = cv2.imencode(suffix, samples)
    assert ok
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(content.tobytes())
    expected = np.stack([RAMP * 0.5, RAMP[::-1], RAMP], axis=2) * 255  # OpenCV writes B, G, R
    assert abs(read_photo(path) - expected).max() < 2


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 5), (0, 255), (1000, 1e6), (0, 1e-6)])
def test_floating_point_is_scaled_by_its_own_range(tmp_path: Path, low: float, high: float) -> None:
    path = tmp_path / "photo.tif"
    Image.fromarray((low + RAMP * (high - low)).astype(np.float32)).save(path)
    assert abs(read_photo(path)[..., 2] - RAMP * 255).max() < 2


def test_long_integers_are_scaled_by_their_own_range(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    Image.fromarray((RAMP * 2e9 - 1e9).astype(np.int32)).save(path)
    assert abs(read_photo(path)[..., 0] - RAMP * 255).max() < 2


def test_what_is_no_number_is_black_and_what_is_infinite_white(tmp_path: Path) -> None:
    samples = RAMP.astype(np.float32)
    samples[0, :3] = np.nan, np.inf, -np.inf
    Image.fromarray(samples).save(tmp_path / "photo.tif")
    seen = read_photo(tmp_path / "photo.tif")[..., 0]
    assert seen[0, :3].tolist() == [0, 255, 0]
    assert seen[-1, -1] == 255


def test_a_photo_without_a_number_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 6), np.nan, np.float32)).save(tmp_path / "photo.tif")
    with pytest.raises(BadImageError, match=r"photo\.tif has no finite number"):
        read_photo(tmp_path / "photo.tif")


def source_of(paths: list[Path], split: str) -> FileSource:
    ids = [path.stem for path in paths]
    labels = np.ones((len(ids), 1), np.uint8)
    return FileSource("toy", split, ("cat",), ids, labels, paths)


def test_a_data_set_warns_of_deep_photos_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        Image.fromarray(photo() if number < 2 else (RAMP * 4095).astype(np.uint16)).save(path)
    for _ in range(3):  # every stage opens its data anew
        source = source_of(paths, "train")
        for place in range(5):
            source.photo(place)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1
    assert "3 of 5 photos have more than 8 bits" in said[0]
    source_of(paths[:2], "val")
    assert len(caplog.records) == 1


def test_a_colour_that_stands_for_clear_becomes_white(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "photo.png", transparency=(200, 40, 40))
    seen = read_photo(tmp_path / "photo.png")
    assert (seen[:10, :15] == 255).all()
    assert (seen[10:] == photo()[10:]).all()


def test_a_palette_with_clear_entries_shows_white_there(tmp_path: Path) -> None:
    image = Image.frombytes("P", (2, 1), b"\0\1")
    image.putpalette([9, 9, 9, 200, 100, 50])
    image.save(tmp_path / "photo.png", transparency=b"\0\xff")
    assert read_photo(tmp_path / "photo.png").tolist() == [[[255] * 3, [200, 100, 50]]]


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".webp", ".png"])
def test_of_several_frames_or_pages_the_first_is_the_photo(tmp_path: Path, suffix: str) -> None:
    first, others = (
        Image.fromarray(photo()),
        [Image.new("RGB", (30, 20), c) for c in ("red", "tan")],
    )
    path = tmp_path / f"photo{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=others, **options)
    assert photo_size(path) == (20, 30)
    assert abs(read_photo(path).astype(int) - photo()).mean() < 25


def test_a_jpeg_called_jfif_is_read(tmp_path: Path) -> None:
    (tmp_path / "photo.jfif").write_bytes(as_bytes(Image.fromarray(photo()), "JPEG"))
    require_turned(tmp_path / "photo.jfif", 1)


def png_of(size: tuple[int, int]) -> bytes:
    """A PNG whose header claims a size; its pixels are missing."""
    height, width = size
    header = struct.pack(">LLBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")


@pytest.mark.parametrize("read", [photo_size, read_photo])
def test_a_decompression_bomb_is_named_with_what_to_do(tmp_path: Path, read: object) -> None:
    (tmp_path / "photo.png").write_bytes(png_of((20_000, 20_000)))
    match = r"photo\.png is too large .*400000000 pixels.*scale it down"
    with pytest.raises(BadImageError, match=match):
        read(tmp_path / "photo.png")  # type: ignore[operator]


def test_a_photo_of_a_hundred_megapixels_is_large_but_no_bomb(tmp_path: Path) -> None:
    Image.new("1", (12_000, 9_000)).save(tmp_path / "photo.png")
    assert photo_size(tmp_path / "photo.png") == (9_000, 12_000)  # Pillow alone would warn


@pytest.mark.parametrize("read", [photo_size, read_photo])
def test_what_is_no_regular_file_is_named_and_not_waited_for(tmp_path: Path, read: object) -> None:
    os.mkfifo(tmp_path / "photo.jpg")
    with pytest.raises(BadImageError, match=r"photo\.jpg is not a regular file"):
        read(tmp_path / "photo.jpg")  # type: ignore[operator]
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(BadImageError, match=r"folder\.jpg is not a regular file"):
        read(tmp_path / "folder.jpg")  # type: ignore[operator]
