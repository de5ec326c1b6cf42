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
        ('image,tags\na,"cat\n', r"tags\.csv:\d: is not a CSV"),
        ("image,tags\n,cat\n", r"tags\.csv:2: image '' is not a path below"),
        ("image,tags\n../a,cat\n", r"tags\.csv:2: image '../a' is not a path below"),
        ("image,tags\n/a,cat\n", r"tags\.csv:2: image '/a' is not a path below"),
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
    with pytest.raises(BadTagFileError, match=r"tags\.csv is not UTF-8 text"):
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
        ("<annotation>\n<object>", BadTagFileError, r"a\.xml:2: is not XML"),
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


# One separator for the whole file


def tags_of(
    folder: Path, text: str, name: str = "tags.csv", classes: object = None
) -> list[object]:
    return [row.tags for row in read_tag_file(write(folder, text, name), classes)]


def test_a_semicolon_anywhere_separates_everywhere(tmp_path: Path) -> None:
    text = "image,tags\na.jpg,coffee maker;person\nb.jpg,coffee maker\n"
    assert tags_of(tmp_path, text) == [("coffee maker", "person"), ("coffee maker",)]
    text = "# list\na coffee maker;person\nb coffee maker\n"
    assert tags_of(tmp_path, text, "l.txt") == [("coffee maker", "person"), ("coffee maker",)]


def test_words_that_a_semicolon_elsewhere_joins_are_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "image,tags\nholiday/beach.jpg,dog person\nkitchen.png,coffee maker;person\n"
    for _ in range(2):
        tags = tags_of(tmp_path, text)
    assert tags == [("dog person",), ("coffee maker", "person")]
    (message,) = caplog.messages
    assert "line 3 has a ';'" in message
    assert "'dog person' (line 2)" in message


def test_blanks_separate_where_no_cell_has_a_semicolon(tmp_path: Path) -> None:
    assert tags_of(tmp_path, "image,tags\na,cat  dog\u3000cow\nb,cat\n")[0] == ("cat", "dog", "cow")


def test_a_no_break_space_is_part_of_a_name(tmp_path: Path) -> None:
    assert tags_of(tmp_path, "image,tags\na,traffic\u00a0light dog\n") == [
        ("traffic\u00a0light", "dog")
    ]


def test_a_class_that_is_listed_is_a_class_whatever_it_holds(tmp_path: Path) -> None:
    classes = ["salt, pepper", "a|b", "x;y", '["dog"]', "dog"]
    rows = 'a,"salt, pepper"\nb,a|b\nc,x;y\nd,"[""dog""]"\ne,"salt, pepper;dog"\n'
    assert tags_of(tmp_path, "image,tags\n" + rows, classes=classes) == [
        ("salt, pepper",), ("a|b",), ("x;y",), ('["dog"]',), ("salt, pepper", "dog"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "write_"),
    [
        ("dog, cat", "dog;cat"),
        ("dog,cat", "dog;cat"),
        ("dog,", "dog;"),
        ("dog|cat", "dog;cat"),
        ("dog；cat", "dog;cat"),
        ("dog、cat", "dog;cat"),
        ("dog，cat", "dog;cat"),
        ("traffic light, dog", "traffic light;dog"),
        ('{""choices"":[""dog"",""cat""]}', "dog;cat"),
        ('[""dog"", ""traffic light""]', "dog;traffic light"),
        ("['dog', 'cat']", "dog;cat"),
        ("{'dog'}", "dog"),
        ('{""choices"": ""dog""}', "dog"),
        ('[[""dog""], {""a"": [""cat""]}]', "dog;cat"),
    ],
)
@pytest.mark.parametrize("classes", [None, ("dog", "cat")])
def test_tags_in_another_form_are_refused_with_what_to_write(
    tmp_path: Path, cell: str, write_: str, classes: tuple[str, ...] | None
) -> None:
    path = write(tmp_path, f'image,tags\nz.jpg,dog\na.jpg,"{cell}"\n')
    with pytest.raises(BadTagFileError, match=r"tags\.csv:3: the tags .*write them as") as caught:
        read_tag_file(path, classes)
    shown = cell.replace('""', '"')
    assert repr(shown) in str(caught.value)
    assert f"write them as {write_.strip(';')!r}" in str(caught.value).replace(";'", "'")


@pytest.mark.parametrize(
    "name",
    ["null", "true", "1.0", "a/b", "<b>", "$x$", "[x]", "it's", "犬", "🐕", "كلب", "#1", "a&b"],
)
def test_a_tag_may_be_any_name(tmp_path: Path, name: str) -> None:
    assert tags_of(tmp_path, f"image,tags\nb,{name}\nc,dog\n") == [(name,), ("dog",)]
    assert tags_of(tmp_path, f"b {name}\nc dog\n", "l.txt") == [(name,), ("dog",)]


@pytest.mark.parametrize(
    ("tags", "match"),
    [
        (("Dog", "dog"), r"csv:3: the tags 'Dog' and 'dog' differ only in case \(line 2\)"),
        (("coffee maker;x", "coffee  maker;y"), "differ only in case, blanks or invisible"),
        (("dog", "dog\u200b"), r"'dog' and 'dog\\u200b' differ only in"),
        (("café", "cafe\u0301"), r"'caf\\xe9' and 'cafe\\u0301' differ only in the encoding"),
    ],
)
def test_tags_that_look_alike_are_refused(
    tmp_path: Path, tags: tuple[str, str], match: str
) -> None:
    with pytest.raises(BadTagFileError, match=match):
        tags_of(tmp_path, "image,tags\na,{}\nb,{}\n".format(*tags))


def test_accents_of_the_other_encoding_name_a_listed_class(tmp_path: Path) -> None:
    assert tags_of(tmp_path, "image,tags\na,cafe\u0301\n", classes=["café"]) == [("café",)]


def test_another_case_than_the_lists_is_not_taken_but_proposed(tmp_path: Path) -> None:
    with pytest.raises(UnknownClassError, match=r"csv:2: unknown class 'Dog'.*write 'dog' for it"):
        tags_of(tmp_path, "image,tags\na,Dog\n", classes=["dog", "cat"])


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ("a,background\n", r"tags\.csv:2: 'background' cannot be a class"),
        ("b,dog\na,BackGround\n", r"tags\.csv:3: 'BackGround' cannot be a class"),
        ("a,d\x00g\n", "UTF-16 without a mark"),
        ("a,d\x07g\n", r"tags\.csv:2: the tag 'd\\x07g' of 'a' has the control character U\+0007"),
        ('"a\nb",dog\n', r"tags\.csv:3: image 'a\\nb' has the control character U\+000A"),
        ('a,"dog\ncat;x"\n', r"tags\.csv:3: the tag 'dog\\ncat' .* U\+000A"),
        ("a\u2028b,dog\n", r"tags\.csv:2: image 'a\\u2028b' has the control character U\+2028"),
        ("..\\a,dog\n", "not a path below the photo folder"),
        (".,dog\n", "not a path below the photo folder"),
    ],
)
def test_what_can_be_no_name_is_named_by_line(tmp_path: Path, rows: str, match: str) -> None:
    with pytest.raises(BadTagFileError, match=match):
        tags_of(tmp_path, "image,tags\n" + rows)


# As spreadsheets save it


@pytest.mark.parametrize(
    "text",
    [
        "image;tags\na;cat dog\n",
        "image\ttags\na\tcat dog\n",
        'image;tags\na;"cat;dog"\n',
        'image,tags\na,"cat;dog"\n',
        "sep=;\nimage;tags\na;cat dog\n",
        "image,tags,,\na,cat dog,,\n,,,\n",
        "image,tags\na,cat dog,,,\n\n",
        '"image";"tags"\n"a";"cat dog"\n',
        "IMAGE, Tags \na, cat dog\n",
        "id,tags,image,note\n7,cat dog,a,ok\n8,,,\n".replace("8,,,\n", ""),
        "\n\nimage,tags\na,cat dog\n",
        "\ufeffimage,tags\r\na,cat dog\r\n\r\n",
        "image,tags\ra,cat dog\r",
    ],
    ids=lambda text: repr(text)[:30],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_csv_is_read_as_any_program_saves_it(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "tags.csv"
    path.write_bytes(text.encode(encoding))
    assert [row[:2] for row in read_tag_file(path)] == [("a", ("cat", "dog"))]


def test_columns_are_known_by_name_whatever_the_files_suffix(tmp_path: Path) -> None:
    for name in ("tags.txt", "tags.TSV", "tags", "tags.CSV"):
        assert tags_of(tmp_path, "image\ttags\nmy photo.jpg\tcat dog\n", name) == [("cat", "dog")]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("image,tags,tags\na,cat,dog\n", "csv:1: the column 'tags' comes twice"),
        (
            "filename,labels\na,cat\n",
            "csv:1: expected the header 'image,tags', got 'filename,labels",
        ),
        ("image\na\n", "csv:1: expected the header"),
        ("a;cat;dog\n", "csv:1: expected the header"),
        ("sep=,\nimage;tags\na;b\n", "csv:2: expected the header"),
        (
            "image;tags\na;cat;dog\n",
            r"csv:2: expected 2 columns \(image,tags\), got 3: .* in quotes",
        ),
    ],
)
def test_columns_that_are_not_the_two_are_named(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(BadTagFileError, match=match):
        tags_of(tmp_path, text)


def test_a_line_of_a_list_may_begin_with_a_photo_of_several_words(tmp_path: Path) -> None:
    text = (
        "/my photos/one  two.JPG dog cat\n2007_000032 dog\nno suffix\tdog cat\n.hidden%20.gif dog\n"
    )
    rows = read_tag_file(write(tmp_path, text, "list.txt"))
    assert [row.image for row in rows] == [
        "my photos/one  two.JPG", "2007_000032", "no suffix", ".hidden%20.gif",
    ]  # fmt: skip
    assert [row.tags for row in rows] == [("dog", "cat"), ("dog",), ("dog", "cat"), ("dog",)]


def test_numbers_of_other_scripts_are_no_places_in_the_list(tmp_path: Path) -> None:
    for tag in ("٣", "²", "-1", "9" * 5000):
        with pytest.raises(UnknownClassError, match="unknown class"):
            tags_of(tmp_path, f"a {tag}\n", "list.txt", classes=CLASSES)
