"""Masks as people store them: read as ids, or refused by name."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.odd_images import as_bytes, exif_block, orientation_tag, photo

from oaa_pl.data.images import check_mask, read_mask
from oaa_pl.data.source import FileSource
from oaa_pl.errors import BadMaskError
from oaa_pl.proxy.palette import voc_palette

IDS = np.array([[0, 1, 2, 255], [3, 3, 0, 0], [0, 0, 1, 1]], np.uint8)


def mask_of(folder: Path, image: Image.Image, kind: str = "PNG", **options: object) -> np.ndarray:
    (folder / "mask.png").write_bytes(as_bytes(image, kind, **options))
    return read_mask(folder / "mask.png")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_gray_ids_are_read_in_whatever_mode_they_were_saved(tmp_path: Path, mode: str) -> None:
    assert (mask_of(tmp_path, Image.fromarray(IDS).convert(mode)) == IDS).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_ids_in_sixteen_bits_are_read(tmp_path: Path, kind: str) -> None:
    assert (mask_of(tmp_path, Image.fromarray(IDS.astype(np.uint16)), kind) == IDS).all()


@pytest.mark.parametrize("factor", [257, 100])
def test_ids_that_were_stretched_to_sixteen_bits_are_refused(tmp_path: Path, factor: int) -> None:
    with pytest.raises(BadMaskError, match=r"mask\.png is a mask with values 0 to .*not scaled"):
        mask_of(tmp_path, Image.fromarray(IDS.astype(np.uint16) * factor))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_ids_of_few_bits_are_the_sample_values(tmp_path: Path, bits: int) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4) % 2**bits
    header = as_bytes(Image.fromarray(ids * 0), "PNG")[:16]
    import zlib

    from tests.data.odd_images import png_chunk

    packed = np.zeros((3, 8), np.uint8)
    packed[:, :4] = ids
    places = np.unpackbits(packed[..., None], axis=2)[..., 8 - bits :].reshape(3, -1)
    rows = b"".join(b"\0" + bytes(row[: -(-4 * bits // 8)]) for row in np.packbits(places, axis=1))
    png = header[:8] + png_chunk(b"IHDR", b"\0\0\0\4\0\0\0\3" + bytes([bits, 0, 0, 0, 0]))
    png += png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    with Image.open(io.BytesIO(png)) as image:
        assert image.size == (4, 3)
    (tmp_path / "mask.png").write_bytes(png)
    assert (read_mask(tmp_path / "mask.png") == ids).all()


def test_a_mask_that_is_clear_in_places_is_refused(tmp_path: Path) -> None:
    image = Image.fromarray(IDS).convert("LA")
    image.putalpha(Image.fromarray((IDS == 0).astype(np.uint8) * 255))
    with pytest.raises(BadMaskError, match=r"transparent pixels .*have no id"):
        mask_of(tmp_path, image)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK"])
def test_colours_are_no_ids(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(photo()).convert(mode)
    with pytest.raises(BadMaskError, match=r"mode \w+, expected class ids"):
        mask_of(tmp_path, image, "TIFF" if mode == "CMYK" else "PNG")


def test_floating_point_is_no_id(tmp_path: Path) -> None:
    with pytest.raises(BadMaskError, match="mode F, expected class ids"):
        mask_of(tmp_path, Image.fromarray(IDS.astype(np.float32)), "TIFF")


def test_a_jpeg_is_no_mask(tmp_path: Path) -> None:
    with pytest.raises(BadMaskError, match="is a JPEG, which changes ids"):
        mask_of(tmp_path, Image.fromarray(IDS), "JPEG")


def test_a_mask_with_an_orientation_of_its_own_is_refused(tmp_path: Path) -> None:
    exif = exif_block([orientation_tag(6)])
    with pytest.raises(BadMaskError, match="orientation tag of its own: turn its pixels"):
        mask_of(tmp_path, Image.fromarray(IDS), exif=exif)


def coloured(ids: np.ndarray, palette: np.ndarray) -> Image.Image:
    image = Image.frombytes("P", ids.shape[::-1], ids.tobytes())
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image


def test_a_palette_of_vocs_colours_at_other_indices_is_refused(tmp_path: Path) -> None:
    """As a tool saves a coloured mask with a palette of its own: person's colour at 1."""
    palette = voc_palette()[[0, 15, 12, 255]]
    with pytest.raises(BadMaskError, match=r"VOC's palette at other indices \(that of id 15 at 1"):
        mask_of(tmp_path, coloured(IDS % 4, palette))


@pytest.mark.parametrize("colours", [4, 16, 256])
def test_a_coloured_mask_that_was_given_a_palette_is_refused(tmp_path: Path, colours: int) -> None:
    shown = Image.fromarray(voc_palette()[np.array([[0, 15], [8, 255]])].repeat(4, 0).repeat(4, 1))
    with pytest.raises(BadMaskError, match="VOC's palette at other indices"):
        mask_of(tmp_path, shown.convert("P", palette=Image.Palette.ADAPTIVE, colors=colours))


@pytest.mark.parametrize("kind", ["voc", "random", "black", "gray", "short"])
def test_any_other_palette_gives_its_indices(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    palettes = {
        "voc": voc_palette(),
        "random": rng.integers(0, 256, (256, 3)),
        "black": np.zeros((256, 3)),
        "gray": np.arange(256)[:, None].repeat(3, 1),
        "short": rng.integers(0, 256, (256, 3)),
    }
    ids = IDS if kind != "short" else IDS % 4
    palette = palettes[kind] if kind != "short" else palettes[kind][:4]
    assert (mask_of(tmp_path, coloured(ids, palette)) == ids).all()


def test_a_mask_as_the_photo_is_stored_is_told_to_be_turned() -> None:
    with pytest.raises(BadMaskError, match=r"turn the mask; if an orientation tag turns the photo"):
        check_mask(np.zeros((3, 4), np.uint8), Path("a.png"), 2, (4, 3))


# A photo with the tags cat (1) and dog (2), or with dog alone.
CAT_DOG, DOG = np.array([1, 1, 0], np.uint8), np.array([0, 1, 0], np.uint8)


def truth(folder: Path, mask: np.ndarray, tags: np.ndarray) -> np.ndarray:
    Image.fromarray(np.zeros((*mask.shape, 3), np.uint8)).save(folder / "a.png")
    Image.fromarray(mask).save(folder / "m.png")
    source = FileSource(
        "toy", "train", ("cat", "dog", "cow"), ["a"], tags[None], [folder / "a.png"],
        [folder / "m.png"],
    )  # fmt: skip
    return source.mask(0)


def disc(size: tuple[int, int], radius: float) -> np.ndarray:
    row, column = np.ogrid[: size[0], : size[1]]
    return (row - size[0] // 2) ** 2 + (column - size[1] // 2) ** 2 <= radius**2


@pytest.mark.parametrize("radius", [3, 8, 20, 200])
@pytest.mark.parametrize("size", [(60, 80), (240, 320)])
def test_an_object_that_is_painted_as_ignored_is_refused(
    tmp_path: Path, size: tuple[int, int], radius: int
) -> None:
    mask = np.where(disc(size, radius), 255, 0).astype(np.uint8)
    with pytest.raises(
        BadMaskError, match=r"no pixel of what .*\(dog = 2\), and 255 covers an area"
    ):
        truth(tmp_path, mask, DOG)


def test_one_of_two_objects_that_is_painted_as_ignored_is_refused(tmp_path: Path) -> None:
    mask = np.where(disc((60, 80), 8), 255, 0).astype(np.uint8)
    mask[2:10, 2:10] = 1
    with pytest.raises(BadMaskError, match=r"\(dog = 2\), and 255 covers an area"):
        truth(tmp_path, mask, CAT_DOG)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_thin_borders_are_no_objects(tmp_path: Path, width: int) -> None:
    """Even where a tagged class has no pixel: it may be too small to be seen."""
    mask = np.where(disc((120, 160), 30), 255, 0).astype(np.uint8)
    mask[disc((120, 160), 30 - width)] = 1
    assert (truth(tmp_path, mask, CAT_DOG) == mask).all()


def test_ignored_areas_are_fine_where_every_tag_is_shown(tmp_path: Path) -> None:
    mask = np.where(disc((60, 80), 20), 255, 0).astype(np.uint8)
    mask[2:10, 2:10], mask[50:, 70:] = 1, 2
    assert (truth(tmp_path, mask, CAT_DOG) == mask).all()


@pytest.mark.parametrize("saved", ["L", "1"])
def test_a_black_and_white_mask_of_another_class_than_the_first_is_refused(
    tmp_path: Path, saved: str
) -> None:
    mask = disc((60, 80), 20)
    with pytest.raises(BadMaskError, match=r"the id 1, which is 'cat', but its photo is tagged"):
        truth(tmp_path, mask if saved == "1" else mask.astype(np.uint8), DOG)


def test_a_black_and_white_mask_of_the_first_class_is_read(tmp_path: Path) -> None:
    mask = disc((60, 80), 20)
    assert (truth(tmp_path, mask, np.array([1, 0, 0], np.uint8)) == mask).all()
