"""Thousands of image files, sound and broken: each is read rightly or refused by name."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from tests.data.odd_images import FORMATS, XMP, as_bytes, exif_block, orientation_tag, picture

from oaa_pl.data.images import photo_size, read_photo
from oaa_pl.data.masks import check_mask, read_mask, read_mask_header
from oaa_pl.errors import OaaError
from oaa_pl.proxy.background import FolderCue
from oaa_pl.proxy.palette import load_label

QUICK, SLOW = 120, 1300

ONE_FILE = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)  # overwritten every time

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
tags = st.tuples(
    st.integers(0, 65535), st.integers(0, 20), st.sampled_from([0, 1, 2, 70, 2**31, 2**32 - 1]),
    st.binary(min_size=4, max_size=4),
)  # fmt: skip


@st.composite
def exif_blocks(draw: st.DrawFn) -> bytes:
    """Any tags around an orientation that may be missing, odd or cut short; or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=80))
    order = draw(st.sampled_from("<>"))
    found = draw(st.lists(tags, max_size=6))
    if draw(st.booleans()):
        found.append(orientation_tag(draw(st.integers(0, 10)), order))
    found.sort(key=lambda tag: tag[0])
    block = exif_block(found, order, draw(st.sampled_from([None, None, 0, 200, 65535])))
    prefix = draw(st.sampled_from([b"Exif\0\0", b"Exif\0\0", b""]))
    return prefix + block[: len(block) - draw(st.sampled_from([0, 0, 0, 4, 9]))]


@st.composite
def image_files(draw: st.DrawFn) -> bytes:
    """A file of any format and mode, with any EXIF or XMP, sound or broken."""
    kind = draw(st.sampled_from(sorted(FORMATS)))
    image = picture(draw(st.sampled_from(FORMATS[kind])), draw(sizes), draw(st.integers(0, 3)))
    options: dict[str, object] = {}
    if kind in ("JPEG", "PNG", "WEBP") and draw(st.booleans()):
        options["exif"] = draw(exif_blocks())
    if kind in ("JPEG", "WEBP") and draw(st.booleans()):
        options["xmp"] = XMP.format(draw(st.integers(0, 9))).encode()
    if kind == "TIFF":
        from PIL.TiffImagePlugin import ImageFileDirectory_v2

        info = ImageFileDirectory_v2()
        if draw(st.booleans()):
            info[274] = draw(st.integers(1, 8))
        if draw(st.booleans()):
            info[700] = XMP.format(draw(st.integers(0, 9))).encode()
        options |= {"tiffinfo": info, "compression": draw(st.sampled_from([None, "tiff_lzw"]))}
    content = bytearray(as_bytes(image, kind, **options))
    for _ in range(draw(st.sampled_from([0, 0, 1, 3, 20]))):
        # Headers are more telling than pixels.
        place = draw(st.integers(0, min(len(content), draw(st.sampled_from([64, 2**16]))) - 1))
        content[place] = draw(st.integers(0, 255))
    return bytes(content[: len(content) - draw(st.sampled_from([0, 0, 0, 1, 40, 300]))])


def answer(read: Callable[[], Any]) -> Any:
    """What a reader returns; None if it refuses by name and in one line."""
    try:
        return read()
    except OaaError as error:
        message = str(error)
    assert "\n" not in message
    return None


def examine_photo(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    size, photo = answer(lambda: photo_size(path)), answer(lambda: read_photo(path))
    if photo is None:
        return
    assert photo.dtype == np.uint8
    assert photo.ndim == 3
    assert photo.shape[2] == 3
    assert size == photo.shape[:2]


def examine_turn(content: bytes, path: Path) -> None:
    """Where Pillow reads a file without a complaint, it is turned as Pillow would turn it."""
    path.write_bytes(content)
    try:
        with Image.open(io.BytesIO(content)) as image:
            expected = ImageOps.exif_transpose(image)
    except Exception:
        return
    size = answer(lambda: photo_size(path))
    assert size in (None, (expected.height, expected.width))


def examine_map(content: bytes, path: Path) -> None:
    """Masks, labels and saliency maps."""
    path.write_bytes(content)
    cue = FolderCue(path.parent)
    answer(lambda: load_label(path))
    answer(lambda: cue(path.stem, np.zeros((5, 7, 3), np.uint8)))
    answer(lambda: cue.require_fit({path.stem: (5, 7)}))
    header, mask = answer(lambda: read_mask_header(path)), answer(lambda: read_mask(path))
    if mask is None:
        return
    assert mask.dtype == np.uint8
    assert header.size == mask.shape
    fitting = answer(lambda: check_mask(mask, path, 3, header.size) or True)
    assert fitting is None or set(np.unique(mask)) <= {0, 1, 2, 3, 255}


@pytest.mark.parametrize("examine", [examine_photo, examine_turn, examine_map])
@settings(max_examples=QUICK, deadline=None, derandomize=True, suppress_health_check=ONE_FILE)
@given(content=image_files())
def test_an_image_file_is_read_rightly_or_refused_by_name(
    tmp_path: Path, examine: Callable[[bytes, Path], None], content: bytes
) -> None:
    examine(content, tmp_path / "a.png")


@pytest.mark.slow
@pytest.mark.parametrize("examine", [examine_photo, examine_turn, examine_map])
@settings(max_examples=SLOW, deadline=None, suppress_health_check=ONE_FILE)
@given(content=image_files())
def test_thousands_of_image_files_are_read_rightly_or_refused_by_name(
    tmp_path: Path, examine: Callable[[bytes, Path], None], content: bytes
) -> None:
    examine(content, tmp_path / "a.png")


@settings(max_examples=QUICK, deadline=None, derandomize=True, suppress_health_check=ONE_FILE)
@given(value=st.integers(0, 10), others=st.lists(tags, max_size=5), order=st.sampled_from("<>"))
def test_no_other_tag_keeps_a_photo_from_being_turned(
    tmp_path: Path, value: int, others: list[tuple[int, int, int, bytes]], order: str
) -> None:
    found = [tag for tag in others if tag[0] != 274] + [orientation_tag(value, order)]
    block = exif_block(sorted(found, key=lambda tag: tag[0]), order)
    image = picture("RGB", (6, 9))
    path = tmp_path / "a.jpg"
    for prefix in (b"Exif\0\0", b"Exif\0\0Exif\0\0"):
        path.write_bytes(as_bytes(image, "JPEG", exif=prefix + block))
        expected = (9, 6) if value in (5, 6, 7, 8) else (6, 9)
        assert photo_size(path) == read_photo(path).shape[:2] == expected


def test_the_fuzz_builds_blocks_that_pillow_reads() -> None:
    block = exif_block([orientation_tag(6)])
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    assert exif[274] == 6
    assert struct.calcsize("<HHL4s") == 12
