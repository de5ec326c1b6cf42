from pathlib import Path

import pytest
from PIL import Image

from oaa_pl.data.folder import FolderSource, validation_source
from oaa_pl.data.source import Source
from oaa_pl.errors import (
    BadImageError,
    BadTagFileError,
    ConfigError,
    EmptySplitError,
    MissingImageError,
    MissingMaskError,
    UnknownClassError,
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for name in ("a.jpg", "b.JPEG", "sub/c.png", "sub/a.webp", "e.bmp", "unlisted.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), (200, 10, 10)).save(root / name)
    return root


def write(folder: Path, rows: str) -> Path:
    path = folder / "tags.csv"
    path.write_text("image,tags\n" + rows)
    return path


def test_photos_of_any_kind_are_read_with_their_tags(photos: Path, tmp_path: Path) -> None:
    rows = "sub/c,dog\na.jpg,cat dog\nb,zebra\nsub/a.webp,cat\ne.bmp,cat\n"
    source = FolderSource(photos, write(tmp_path, rows))
    assert isinstance(source, Source)
    assert source.classes == ("cat", "dog", "zebra")
    assert source.ids == ("sub__c", "a", "b", "sub__a", "e")
    assert source.labels.tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0], [1, 0, 0]]
    assert all(source.photo(index).shape == (20, 30, 3) for index in range(5))
    with pytest.raises(MissingMaskError, match="has no masks"):
        source.mask(0)


def test_given_classes_keep_their_order(photos: Path, tmp_path: Path) -> None:
    source = FolderSource(photos, write(tmp_path, "a,dog\n"), classes=["dog", "cat"])
    assert source.classes == ("dog", "cat")
    assert source.labels.tolist() == [[1, 0]]


def test_masks_are_for_evaluation(photos: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.new("L", (30, 20), 1).save(masks / "sub__c.png")
    source = FolderSource(photos, write(tmp_path, "sub/c,dog\n"), mask_folder=masks)
    assert (source.mask(0) == 1).all()


def test_a_class_that_is_not_given_is_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownClassError, match=r"tags\.csv:3: unknown class 'dgo'"):
        FolderSource(photos, write(tmp_path, "a,dog\nb,dgo\n"), classes=["dog"])


def test_a_row_without_photo_is_named_by_line(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingImageError, match=r"tags\.csv:3: no photo 'gone\.jpg' in .*photos"):
        FolderSource(photos, write(tmp_path, "a,dog\ngone.jpg,dog\n"))


def test_two_photos_of_one_id_are_refused(photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(photos / "a.png")
    match = r"tags\.csv:3: image 'a\.png' has the id 'a' of line 2 \('a\.jpg'\)"
    with pytest.raises(BadTagFileError, match=match):
        FolderSource(photos, write(tmp_path, "a.jpg,dog\na.png,dog\n"))


def test_a_tag_file_without_row_is_an_empty_split(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(EmptySplitError, match=r"tags\.csv lists no image"):
        FolderSource(photos, write(tmp_path, ""))


def test_a_broken_photo_is_named_before_training(photos: Path, tmp_path: Path) -> None:
    (photos / "b.JPEG").write_bytes(b"")
    with pytest.raises(BadImageError, match=r"b\.JPEG is empty"):
        FolderSource(photos, write(tmp_path, "a,dog\nb,dog\n"))


def test_a_class_given_twice_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names the class 'dog' 2 times"):
        FolderSource(photos, write(tmp_path, "a,dog\n"), classes=["dog", "dog"])


# Names as people have them


@pytest.mark.parametrize(
    "name",
    [
        "my photo.jpg", "Höhle.jpg", "100%.png", "#1.png", ".hidden.png", "a .png", "CON.png",
        "it's.png", "كلب.png", "🐕.png", "a,b.png", "a;b.png", "[x].png", "sub dir/x y.gif",
        "x.tif", "y.jfif", "z.GIF",
    ],
)  # fmt: skip
def test_a_photo_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "photos" / name
    path.parent.mkdir(parents=True)
    kind = {".jfif": "JPEG", ".jpg": "JPEG", ".tif": "TIFF", ".gif": "GIF"}
    Image.new("RGB", (30, 20)).save(path, kind.get(path.suffix.lower(), "PNG"))
    quoted = f'"{name}"'
    source = FolderSource(tmp_path / "photos", write(tmp_path, f"{quoted},traffic light;dog\n"))
    assert source.ids == (name.rpartition(".")[0].replace("/", "__"),)
    assert source.classes == ("dog", "traffic light")
    assert source.photo(0).shape == (20, 30, 3)


def test_ids_are_spelled_as_the_tag_file_spells_them(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "photos" / "Ho\u0308hle.JPG", "JPEG")
    source = FolderSource(tmp_path / "photos", write(tmp_path, "H\u00f6hle.jpg,dog\n"))
    assert source.ids == ("H\u00f6hle",)
    assert source.photo(0).shape == (20, 30, 3)


def test_one_photo_under_two_spellings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "photos" / "Ho\u0308hle.jpg")
    rows = "H\u00f6hle,dog\nHo\u0308hle,cat\n"
    with pytest.raises(BadTagFileError, match=r"tags\.csv:3: image .* has the id .* of line 2"):
        FolderSource(tmp_path / "photos", write(tmp_path, rows))


def test_two_photos_that_differ_in_case_are_two_where_the_disk_says_so(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "A.png"):
        Image.new("RGB", (30, 20)).save(tmp_path / "photos" / name)
    if len(list((tmp_path / "photos").iterdir())) == 1:
        with pytest.raises(BadTagFileError, match="has the id"):
            FolderSource(tmp_path / "photos", write(tmp_path, "a,dog\nA,dog\n"))
    else:
        source = FolderSource(tmp_path / "photos", write(tmp_path, "a,dog\nA,dog\n"))
        assert source.ids == ("a", "A")


def test_a_photo_that_is_there_under_another_name_is_proposed(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingImageError, match=r"no photo 'a\.png' .*write 'a\.jpg', which is"):
        FolderSource(photos, write(tmp_path, "a.png,dog\n"))
    with pytest.raises(MissingImageError, match=r"no photo 'B\.jpg' .*write 'b\.JPEG', which is"):
        FolderSource(photos, write(tmp_path, "B.jpg,dog\n"))


def test_a_name_longer_than_any_disk_allows_is_no_photo(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingImageError, match="no photo 'xxx"):
        FolderSource(photos, write(tmp_path, f"{'x' * 400},dog\n"))


def test_folders_that_do_not_exist_are_named(photos: Path, tmp_path: Path) -> None:
    tags = write(tmp_path, "a,dog\n")
    with pytest.raises(MissingImageError, match=r"data\.root .*gone is not a folder"):
        FolderSource(tmp_path / "gone", tags)
    with pytest.raises(MissingMaskError, match=r"data\.mask_folder .*gone is not a folder"):
        FolderSource(photos, tags, mask_folder=tmp_path / "gone")


def test_masks_may_lie_in_the_photos_subfolders(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "masks/sub").mkdir(parents=True)
    Image.new("L", (30, 20), 1).save(tmp_path / "masks/sub/c.PNG", "PNG")
    source = FolderSource(photos, write(tmp_path, "sub/c,dog\n"), mask_folder=tmp_path / "masks")
    assert (source.mask(0) == 1).all()


# Classes


def test_more_classes_than_a_label_can_tell_apart_are_refused(photos: Path, tmp_path: Path) -> None:
    tags = ";".join(f"class {n}" for n in range(255))
    with pytest.raises(ConfigError, match=r"there are 255 classes .*, expected 254 at most"):
        FolderSource(photos, write(tmp_path, f"a,{tags}\n"))
    fewer = FolderSource(photos, write(tmp_path, f"a,{tags.rpartition(';')[0]}\n"))
    assert len(fewer.classes) == 254


@pytest.mark.parametrize(
    ("classes", "match"),
    [
        (["dog", "background"], "'background' cannot be a class"),
        (["dog", "Dog"], "differ only in case"),
        (["dog", "a\nb"], r"has the control character U\+000A"),
        ("dog", r"data\.classes must be a list"),
        (["dog", None], "write the name in quotes"),
        ([], "there is no class"),
    ],
)
def test_classes_that_are_none_are_refused_before_a_tag_is_blamed(
    photos: Path, tmp_path: Path, classes: list[str], match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        FolderSource(photos, write(tmp_path, "a,cow\n"), classes=classes)


def test_classes_may_be_numbers(photos: Path, tmp_path: Path) -> None:
    source = FolderSource(photos, write(tmp_path, "a,2 1\nb,1\n"), classes=[1, 2])
    assert source.classes == ("1", "2")
    assert source.labels.tolist() == [[1, 1], [1, 0]]


def test_nothing_is_validated_on_without_a_second_tag_file(photos: Path, tmp_path: Path) -> None:
    assert validation_source(photos, None) is None
    source = validation_source(photos, write(tmp_path, "a,dog\n"), classes=["cat", "dog"])
    assert source is not None
    assert (source.split, source.classes) == ("val", ("cat", "dog"))
