from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oaa_pl.data.annotation import tags_from_annotation
from oaa_pl.data.tags import (
    TagRow,
    read_tag_file,
    tags_from_mask,
    to_labels,
)
from oaa_pl.errors import BadMaskError, BadTagFileError, UnknownClassError, UntaggedImageError

CLASSES = ("cat", "dog", "traffic light")


def write(folder: Path, text: str, name: str = "tags.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_a_csv_gives_one_row_an_image(tmp_path: Path) -> None:
    path = write(tmp_path, "image,tags\na.jpg,cat dog\nsub/b,dog\n")
    assert read_tag_file(path, CLASSES) == [
        TagRow("a.jpg", ("cat", "dog"), 2),
        TagRow("sub/b", ("dog",), 3),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffimage,tags\na,cat\n",
        "image,tags\r\na,cat\r\n",
        "Image, Tags\n\n a , cat \n\n",
        'image,tags\n"a","cat"',
    ],
)
def test_spreadsheets_write_csv_their_own_way(tmp_path: Path, text: str) -> None:
    assert [row[:2] for row in read_tag_file(write(tmp_path, text))] == [("a", ("cat",))]


def test_names_with_spaces_are_separated_by_semicolons(tmp_path: Path) -> None:
    path = write(tmp_path, "image,tags\na,cat; traffic light\nb,traffic light;\nc,traffic light\n")
    tags = [row.tags for row in read_tag_file(path, CLASSES)]
    assert tags == [("cat", "traffic light"), ("traffic light",), ("traffic light",)]


def test_a_plain_list_has_names_or_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "# id classes\n/photos/a.jpg 0 1\n\nb dog\n", "list.txt")
    assert read_tag_file(path, CLASSES) == [
        TagRow("photos/a.jpg", ("cat", "dog"), 2),
        TagRow("b", ("dog",), 4),
    ]


def test_numbers_are_names_in_a_csv(tmp_path: Path) -> None:
    with pytest.raises(UnknownClassError, match="unknown class '1'"):
        read_tag_file(write(tmp_path, "image,tags\na,1\n"), CLASSES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"tags\.csv:1: expected the header 'image,tags', got ''"),
        ("a,cat\n", r"tags\.csv:1: expected the header 'image,tags', got 'a,cat'"),
        ("image:tags\na:cat\n", r"tags\.csv:1: expected the header"),
        ("image,tags\na,cat\nb,cat,dog\n", r"tags\.csv:3: expected 2 columns .*, got 3"),
        ("image,tags\na,cat\nb\n", r"tags\.csv:3: expected 2 columns .*, got 1"),
        ('image,tags\na,"cat\n', r"tags\.csv:\d: is no CSV"),
        ("image,tags\n,cat\n", r"tags\.csv:2: image '' is no path below"),
        ("image,tags\n../a,cat\n", r"tags\.csv:2: image '../a' is no path below"),
        ("image,tags\n/a,cat\n", r"tags\.csv:2: image '/a' is no path below"),
        ("image,tags\na,cat\nb,dog\na,dog\n", r"tags\.csv:4: image 'a' was on line 2 already"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadTagFileError, match=message) as caught:
        read_tag_file(write(tmp_path, text), CLASSES)
    assert "\n" not in str(caught.value)


def test_an_image_without_tag_is_named_by_line(tmp_path: Path) -> None:
    with pytest.raises(UntaggedImageError, match=r"tags\.csv:3: image 'b' has no tag"):
        read_tag_file(write(tmp_path, "image,tags\na,cat\nb,\n"), CLASSES)


@pytest.mark.parametrize(
    ("name", "text"), [("tags.csv", "image,tags\na,cow\n"), ("tags.txt", "#\na cow\n")]
)
def test_an_unknown_class_is_named_by_line(tmp_path: Path, name: str, text: str) -> None:
    match = rf"{name}:2: unknown class 'cow', expected one of cat, dog, traffic light"
    with pytest.raises(UnknownClassError, match=match):
        read_tag_file(write(tmp_path, text, name), CLASSES)


def test_a_number_beyond_the_classes_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(UnknownClassError, match=r"list\.txt:1: unknown class '3'"):
        read_tag_file(write(tmp_path, "a 3\n", "list.txt"), CLASSES)


def test_a_tag_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadTagFileError, match=r"tag file .*gone\.csv does not exist"):
        read_tag_file(tmp_path / "gone.csv")


def test_a_tag_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_bytes(b"image,tags\na,\xff\xfe\n")
    with pytest.raises(BadTagFileError, match=r"tags\.csv is no UTF-8 text"):
        read_tag_file(tmp_path / "tags.csv")


def test_an_annotation_names_objects_not_their_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(
        "<annotation><object><name>cat</name><part><name>head</name></part></object>"
        "<object><name>dog</name><difficult>1</difficult></object></annotation>"
    )
    assert tags_from_annotation(path, CLASSES) == ("cat", "dog")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("<annotation>\n<object>", BadTagFileError, r"a\.xml:2: is no XML"),
        ("<a><object/></a>", BadTagFileError, r"a\.xml: an <object> has no <name>"),
        ("<a><object><name>cow</name></object></a>", UnknownClassError, r"a\.xml: unknown class"),
    ],
)
def test_a_bad_annotation_is_named(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(error, match=message):
        tags_from_annotation(tmp_path / "a.xml", CLASSES)


def test_an_annotation_that_is_not_there_leaves_its_image_untagged(tmp_path: Path) -> None:
    with pytest.raises(UntaggedImageError, match=r"annotation .*gone\.xml does not exist"):
        tags_from_annotation(tmp_path / "gone.xml", CLASSES)


def test_a_mask_gives_the_classes_that_it_shows(tmp_path: Path) -> None:
    mask = np.array([[0, 255, 3, 1]], dtype=np.uint8)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.new("RGB", (4, 1)).save(tmp_path / "photo.png")
    found = tags_from_mask(tmp_path / "mask.png", tmp_path / "photo.png", CLASSES)
    assert found == ("cat", "traffic light")


def test_a_mask_of_another_size_than_its_photo_is_refused(tmp_path: Path) -> None:
    Image.new("L", (4, 1)).save(tmp_path / "mask.png")
    Image.new("RGB", (4, 2)).save(tmp_path / "photo.png")
    with pytest.raises(BadMaskError, match=r"4 x 1 px but its photo is 4 x 2 px"):
        tags_from_mask(tmp_path / "mask.png", tmp_path / "photo.png", CLASSES)


def test_labels_are_ones_at_the_tags() -> None:
    labels = to_labels([("dog",), ("cat", "dog", "cat"), ()], CLASSES)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 0]]
