"""A list is gathered in spite of its faults."""

from pathlib import Path

import pytest
from PIL import Image

from oaa_pl.data.folder import FolderSource
from oaa_pl.data.listing import Listed, of_folder, of_source, of_voc
from oaa_pl.data.voc import VocSource


def photos(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (number, 0, 0)).save(folder / name)
    return folder


def test_every_bad_row_is_named_and_the_others_are_listed(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    tags = tmp_path / "tags.csv"
    tags.write_text("image,tags\na.jpg,cat\nb.jpg\nc.jpg,\n../d.jpg,dog\ngone.jpg,dog\nd.jpg,dog\n")
    listing = of_folder(root, tags)
    assert [image.name for image in listing.images] == ["a", "d"]
    assert listing.classes == ("cat", "dog")
    assert len(listing.faults) == 4
    for line, text in zip((3, 4, 5, 6), listing.faults, strict=True):
        assert text.startswith(f"{tags}:{line}: "), text


def test_a_header_that_lacks_is_the_only_fault(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", "a.jpg")
    (tmp_path / "tags.csv").write_text("a.jpg,cat\n")
    listing = of_folder(root, tmp_path / "tags.csv")
    assert listing.images == []
    assert len(listing.faults) == 1


def test_a_tag_file_that_lacks_is_the_only_fault(tmp_path: Path) -> None:
    (fault,) = of_folder(tmp_path, tmp_path / "gone.csv").faults
    assert "gone.csv does not exist" in fault


def test_a_sound_folder_is_listed_as_its_source_has_it(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", "x/a.jpg", "b.png")
    (tmp_path / "tags.csv").write_text("image,tags\nx/a.jpg,dog cat\nb,cat\n")
    arguments = {"root": root, "tag_file": tmp_path / "tags.csv", "mask_folder": tmp_path}
    opened, gathered = of_source(FolderSource(**arguments), root), of_folder(**arguments)
    assert (
        gathered.images[1]
        == opened.images[1]
        == Listed("b", root / "b.png", ("cat",), tmp_path / "b.png")
    )
    assert {image.name for image in gathered.images} == {"x__a", "b"}
    assert (gathered.where, gathered.classes) == (opened.where, opened.classes)


@pytest.mark.parametrize("tags", ["masks", "annotations", "none"])
def test_a_sound_voc_folder_is_listed_as_its_source_has_it(tiny_voc: Path, tags: str) -> None:
    opened = of_source(VocSource(tiny_voc, "train", tags))
    gathered = of_voc(tiny_voc, "train", tags)
    if tags == "none":
        assert [image.name for image in gathered.images] == [one.name for one in opened.images]
    else:
        assert [(one.name, sorted(one.tags)) for one in gathered.images] == [
            (one.name, sorted(one.tags)) for one in opened.images
        ]
        assert gathered.images[0].mask == opened.images[0].mask
    assert gathered.faults == []


def test_every_photo_and_annotation_that_lacks_is_named(tiny_voc: Path) -> None:
    (tiny_voc / "JPEGImages/2007_000001.jpg").unlink()
    (tiny_voc / "Annotations/2007_000002.xml").unlink()
    (tiny_voc / "Annotations/2007_000003.xml").write_text("<annotation/>")
    listing = of_voc(tiny_voc, "train", "annotations")
    first, second, third = listing.faults
    assert "2007_000001.jpg does not exist but split 'train' lists" in first
    assert "2007_000002.xml does not exist" in second
    assert "image '2007_000003' of voc12/train has no tag" in third
    assert len(listing.images) == 3


def test_every_row_of_a_tag_file_that_is_wrong_is_named(tiny_voc: Path) -> None:
    tags = tiny_voc / "tags.csv"
    rows = ["2007_000001,cat", "2007_000002,unicorn", "2007_000003,cat", "2007_000004,gnu"]
    tags.write_text("image,tags\n" + "\n".join(rows) + "\n")
    listing = of_voc(tiny_voc, "train", "file", tags)
    assert [text.split(": ")[0] for text in listing.faults[:2]] == [f"{tags}:3", f"{tags}:5"]
    assert sum("has no tag" in text for text in listing.faults) == 2


def test_a_split_that_lacks_leaves_nothing_to_list(tiny_voc: Path) -> None:
    assert of_voc(tiny_voc, "gone").images == []
