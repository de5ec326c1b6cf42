"""Boxes of VOC's layout and of a folder: by class, named faults, no silent mix-up."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.tiny_layouts import SIZE, noise, xml

from oaa_pl.data.boxed import boxes_of
from oaa_pl.data.folder import FolderSource
from oaa_pl.data.images import photo_size
from oaa_pl.data.voc import VocSource
from oaa_pl.errors import BadTagFileError, MissingInputError

PHOTOS = {"a/1.png": "cat", "b/1.png": "dog", "both.png": "cat;dog", "été.png": "cat"}
LINES = (
    "a/1.png,1,2,11,12", "b/1.png,3,4,13,14", "both.png,0,0,9,9,cat", "both.png,20,20,30,30,dog",
    "both.png,5,5,8,8,cat", "été.png,1,1,2,2",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos of one name in two folders, one with two classes, one with an accent."""
    for number, name in enumerate(PHOTOS):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(number)).save(path)
    rows = "".join(f"{name},{tags}\n" for name, tags in PHOTOS.items())
    (tmp_path / "tags.csv").write_text(f"image,tags\n{rows}")
    (tmp_path / "boxes.csv").write_text("\n".join(LINES))
    return tmp_path


def opened(folder: Path, boxes: str | None = "boxes.csv") -> FolderSource:
    path = None if boxes is None else folder / boxes
    return FolderSource(folder / "photos", folder / "tags.csv", box_path=path)


def test_boxes_of_a_csv_belong_to_the_photo_of_their_path_and_to_their_class(folder: Path) -> None:
    source = opened(folder)
    assert source.classes == ("cat", "dog")
    found = [
        {c: boxes.tolist() for c, boxes in boxes_of(source, index).items()} for index in range(4)
    ]
    assert found == [
        {0: [[1, 2, 11, 12]]}, {1: [[3, 4, 13, 14]]},
        {0: [[0, 0, 9, 9], [5, 5, 8, 8]], 1: [[20, 20, 30, 30]]}, {0: [[1, 1, 2, 2]]},
    ]  # fmt: skip


@pytest.mark.parametrize("change", [
    lambda line: f"val/{line}",  # the localisation benchmark's ids have the split
    lambda line: f"/photos/{line}",
    lambda line: line.replace(".png", ""),
    lambda line: f"C:\\photos\\{line}",
])  # fmt: skip
def test_a_photo_whose_name_is_its_own_is_found_in_any_folder(
    folder: Path, change: Callable[[str], str]
) -> None:
    (folder / "boxes.csv").write_text("\n".join(map(change, LINES)))
    source = opened(folder)
    assert boxes_of(source, 2)[1].tolist() == [[20, 20, 30, 30]]
    if "/photos" in change("") or "C:" in change("") or "val" in change(""):
        with pytest.raises(BadTagFileError, match="has no box of image 'a__1'"):
            source.boxes(0)  # it might be the other photo of that name


def test_xml_is_found_by_the_whole_path_of_its_photo(folder: Path) -> None:
    for name in ("a/1", "b/1", "both", "été"):
        path = folder / f"xml/{name}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(xml("dog" if name[0] == "b" else "cat", (len(name), 2, 9, 9)))
    source = opened(folder, "xml")
    assert [list(boxes_of(source, index)) for index in range(4)] == [[0], [1], [1], [0]]
    (folder / "xml/a/1.xml").rename(folder / "xml/1.xml")
    with pytest.raises(BadTagFileError, match=r"a/1\.xml does not exist, so '1' has no box"):
        source.boxes(0)


def test_without_a_path_a_folder_has_no_boxes(folder: Path) -> None:
    source = opened(folder, None)
    assert boxes_of(source, 0) == {}
    with pytest.raises(MissingInputError, match="has no boxes"):
        source.boxes(0)
    with pytest.raises(MissingInputError, match="nowhere do not exist"):
        opened(folder, "nowhere")


@pytest.mark.parametrize(("line", "match"), [
    ("both.png,1,1,5,5", r"csv:1: a box has no class, and its image is of 'cat', 'dog'"),
    ("both.png,1,1,5,5,horse", r"csv:1: .*horse"),
    ("both.png,1,1,99,5,cat", "leaves its photo of 48 x 40 px"),
    ("both.png,9,1,5,5,cat", "ends before it begins"),
    ("both.png,1,1,nan,5,cat", "a box must be four numbers"),
    ("both.png,1,1,inf,5,cat", "a box must be four numbers"),
    ("both.png,1,1,5", "expected image,x0,y0,x1,y1"),
    ("other.png,1,1,5,5", "has no box of image 'both'"),
])  # fmt: skip
def test_a_line_that_does_not_fit_is_named(folder: Path, line: str, match: str) -> None:
    (folder / "boxes.csv").write_text(line)
    with pytest.raises(BadTagFileError, match=match):
        opened(folder).boxes(2)


def test_a_box_of_a_class_that_is_not_tagged_is_named(folder: Path) -> None:
    (folder / "boxes.csv").write_text("a/1.png,1,1,5,5,dog\n")
    with pytest.raises(BadTagFileError, match="a box is of 'dog', but its image is of 'cat'"):
        opened(folder).boxes(0)


@pytest.fixture
def voc(tiny_voc: Path) -> Path:
    """VOC's tree with boxes: those of the first photo, a cat, count from 1; no mask has a dog."""
    for path in sorted((tiny_voc / "Annotations").iterdir()):
        size = photo_size(tiny_voc / f"JPEGImages/{path.stem}.jpg")
        path.write_text(xml("cat", (1, 1, 40, 40), size))
    first = tiny_voc / "Annotations/2007_000001.xml"
    size = photo_size(tiny_voc / "JPEGImages/2007_000001.jpg")
    objects = xml("cat", (5, 13, 25, 36), size).removesuffix("</annotation>")
    other = xml("dog", (1, 1, 3, 3), size).partition("</size>")[2]
    first.write_text(objects + other)
    return tiny_voc


def test_boxes_of_voc_count_from_one_and_are_of_the_tagged_classes(voc: Path) -> None:
    source = VocSource(voc, "train")
    assert source.has_boxes
    assert {c: boxes.tolist() for c, boxes in boxes_of(source, 0).items()} == {7: [[4, 12, 24, 35]]}
    assert boxes_of(source, 1) == {}  # it shows a dog; its box is a cat's


@pytest.mark.parametrize(("text", "match"), [
    (None, "2007_000002.xml does not exist"),
    ("no xml", "is not XML"),
    (xml("cat", (1, 1, 9, 9), (640, 400)), "of a photo of 400 x 640 px, but the photo is 40 x 64"),
    (xml("unicorn", (1, 1, 9, 9), (64, 40)), "unicorn"),
])  # fmt: skip
def test_boxes_that_nobody_asked_for_are_used_only_if_all_are_sound(
    voc: Path, text: str | None, match: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = voc / "Annotations/2007_000002.xml"
    path.unlink()
    if text is not None:
        path.write_text(text)
    source = VocSource(voc, "train")
    assert boxes_of(source, 0) == {}
    assert not source.has_boxes
    assert "has no scores with boxes" in caplog.text
    assert match in caplog.text
    asked = VocSource(voc, "train", box_path=voc / "Annotations")
    assert asked.has_boxes
    assert list(boxes_of(asked, 0)) == [7]
    with pytest.raises(BadTagFileError, match=match):
        asked.boxes(1)


def test_a_split_without_tags_has_no_boxes(voc: Path) -> None:
    assert not VocSource(voc, "train", tags="none").has_boxes


def test_boxes_do_not_change_what_a_store_is_made_for(folder: Path) -> None:
    from oaa_pl.data.source import fingerprint

    assert fingerprint(opened(folder)) == fingerprint(opened(folder, None))
    assert np.array_equal(opened(folder).photo(0).shape[:2], SIZE)
