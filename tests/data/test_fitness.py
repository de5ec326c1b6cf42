"""What a run would stop at after hours is known before its first stage."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.odd_images import as_bytes, exif_block, orientation_tag, photo

from oaa_pl.data.fitness import check_fit, long_names, photo_sizes
from oaa_pl.data.source import FileSource
from oaa_pl.errors import BadMaskError, MissingMaskError
from oaa_pl.files.atomic import LONGEST_NAME
from oaa_pl.proxy.palette import save_label

CLASSES = ("cat", "dog")


def source_of(folder: Path, count: int = 6, swapped: int = 0) -> FileSource:
    """Photos of cats and dogs in turn, the last one of both; so many masks have the ids swapped."""
    labels = np.array([[k % 2 == 0, k % 2 == 1] for k in range(count)], np.uint8)
    labels[-1] = 1
    for k in range(count):
        Image.fromarray(photo(seed=k)).save(folder / f"{k}.png")
        mask = np.zeros((20, 30), np.uint8)
        for c in np.flatnonzero(labels[k]):
            mask[2 + 8 * c : 9 + 8 * c, 4:20] = 2 - c if k < swapped else c + 1
        save_label(folder / "masks" / f"{k}.png", mask)
    ids = [str(k) for k in range(count)]
    masks = [folder / "masks" / f"{k}.png" for k in ids]
    photos = [folder / f"{k}.png" for k in ids]
    return FileSource("toy", "train", CLASSES, ids, labels, photos, masks)


def test_a_sound_data_set_is_fit_and_nothing_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of(tmp_path)
    check_fit(source)
    assert not caplog.records
    assert photo_sizes(source) == dict.fromkeys(source.ids, (20, 30))


@pytest.mark.parametrize("pixels", [True, False])
def test_masks_that_lack_are_named_with_their_number(tmp_path: Path, pixels: bool) -> None:
    source = source_of(tmp_path)
    for k in (1, 4):
        (tmp_path / "masks" / f"{k}.png").unlink()
    with pytest.raises(MissingMaskError, match="lacks the masks of 2 of 6 photos: 1, 4; add"):
        check_fit(source, pixels)


@pytest.mark.parametrize("pixels", [True, False])
def test_a_mask_of_another_size_is_named_from_its_header(tmp_path: Path, pixels: bool) -> None:
    source = source_of(tmp_path)
    save_label(tmp_path / "masks/3.png", np.zeros((21, 30), np.uint8))
    with pytest.raises(BadMaskError, match=r"3\.png is 30 x 21 px but its photo is 30 x 20 px"):
        check_fit(source, pixels)


def test_a_mask_as_a_turned_photo_is_stored_is_named_from_its_header(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    exif = exif_block([orientation_tag(6)])
    (tmp_path / "2.png").write_bytes(as_bytes(Image.fromarray(photo()), "PNG", exif=exif))
    with pytest.raises(BadMaskError, match="turn the mask; if an orientation tag turns the photo"):
        check_fit(source, pixels=False)
    save_label(tmp_path / "masks/2.png", np.zeros((30, 20), np.uint8))
    check_fit(source, pixels=False)


def test_an_object_painted_as_ignored_is_named_before_training(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:20] = 255
    save_label(tmp_path / "masks/0.png", mask)
    check_fit(source, pixels=False)
    with pytest.raises(BadMaskError, match=r"0\.png has no pixel of what .* 255 covers an area"):
        check_fit(source)


def test_many_masks_that_do_not_show_the_tags_are_told_with_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ids in another order than the classes."""
    source = source_of(tmp_path, 8)
    for k in range(5):
        mask = np.zeros((20, 30), np.uint8)
        mask[2:9, 4:20] = 2 - k % 2
        mask[12:, 22:] = 255 if k % 2 else 0
        source.labels[k] = [k % 2 == 0, k % 2 == 1]
        save_label(tmp_path / "masks" / f"{k}.png", mask if k % 2 == 0 else mask * 0)
    caplog.set_level(logging.WARNING)
    check_fit(source)
    assert len(caplog.records) == 1
    assert "toy/train: 5 of 8 masks do not show all" in caplog.text
    assert "0: tagged cat, its mask shows dog" in caplog.text
    assert "1 = cat, 2 = dog" in caplog.text


def test_few_masks_that_do_not_show_the_tags_are_not_worth_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of(tmp_path, 20)
    save_label(tmp_path / "masks/0.png", np.zeros((20, 30), np.uint8))
    check_fit(source)
    assert not caplog.records


def test_a_class_on_every_photo_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = source_of(tmp_path)
    source.labels[:, 0] = 1
    check_fit(source, pixels=False)
    assert "every photo is tagged with cat" in caplog.text


@pytest.mark.parametrize("letter", ["a", "ü", "猫"])
def test_the_longest_id_that_is_allowed_can_be_written_as_a_label(
    tmp_path: Path, letter: str
) -> None:
    most = (LONGEST_NAME - 4) // len(letter.encode())
    assert long_names([letter * most]) == []
    save_label(tmp_path / f"{letter * most}.png", np.zeros((2, 2), np.uint8))
    assert long_names(["b", letter * (most + 1)]) == [letter * (most + 1)]
