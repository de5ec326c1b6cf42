from pathlib import Path

import pytest
from PIL import Image

from oaa_pl.data.folder import FolderSource
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
