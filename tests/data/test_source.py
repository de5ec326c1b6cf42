from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oaa_pl.data.source import FileSource, Source, fingerprint
from oaa_pl.errors import (
    BadImageError,
    BadMaskError,
    ConfigError,
    EmptySplitError,
    MissingImageError,
    MissingMaskError,
    UntaggedImageError,
)


def build(folder: Path, masks: bool = False, **changes: object) -> FileSource:
    ids = changes.get("ids", ("a", "b"))
    photos = [folder / f"{i}.png" for i in ids]
    for number, path in enumerate(photos):
        Image.new("RGB", (6, 4), (number, 0, 0)).save(path)
    arguments = {
        "name": "toy",
        "split": "train",
        "classes": ("cat", "dog"),
        "ids": ids,
        "labels": np.array([[1, 0], [0, 1]], dtype=np.uint8),
        "photos": photos,
        "masks": [folder / f"{i}_mask.png" for i in ids] if masks else None,
    }
    return FileSource(**(arguments | changes))


def test_files_are_a_source(tmp_path: Path) -> None:
    source = build(tmp_path)
    assert isinstance(source, Source)
    assert source.photo(1).tolist() == [[[1, 0, 0]] * 6] * 4
    assert source.photo_path(1) == tmp_path / "b.png"
    assert not source.has_masks


def test_a_mask_is_read_when_asked_for(tmp_path: Path) -> None:
    source = build(tmp_path, masks=True)
    Image.fromarray(np.full((4, 6), 2, dtype=np.uint8)).save(tmp_path / "a_mask.png")
    assert (source.mask(0) == 2).all()
    with pytest.raises(MissingMaskError, match=r"b_mask\.png does not exist"):
        source.mask(1)


def test_a_source_without_masks_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingMaskError, match="split 'train' of toy has no masks"):
        build(tmp_path).mask(0)


def test_a_mask_outside_the_classes_is_named(tmp_path: Path) -> None:
    source = build(tmp_path, masks=True)
    Image.fromarray(np.full((4, 6), 3, dtype=np.uint8)).save(tmp_path / "a_mask.png")
    with pytest.raises(BadMaskError, match=r"a_mask\.png has the ids \[3\]"):
        source.mask(0)


def test_a_mask_may_lie_across_a_turned_photo(tmp_path: Path) -> None:
    source = build(tmp_path, masks=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(np.ones((6, 4), dtype=np.uint8)).save(tmp_path / "a_mask.png")
    assert source.mask(0).shape == source.photo(0).shape[:2] == (6, 4)


def test_no_image_is_an_empty_split(tmp_path: Path) -> None:
    with pytest.raises(EmptySplitError, match="split 'train' of toy lists no image"):
        build(tmp_path, ids=(), labels=np.zeros((0, 2), dtype=np.uint8))


def test_an_image_without_tag_is_named(tmp_path: Path) -> None:
    with pytest.raises(UntaggedImageError, match=r"image 'b' has no tag \(1 such\)"):
        build(tmp_path, labels=np.array([[1, 0], [0, 0]], dtype=np.uint8))


def test_an_image_listed_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lists the image 'a' 2 times"):
        build(tmp_path, ids=("a", "a"))


def test_a_class_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names the class 'cat' 2 times"):
        build(tmp_path, classes=("cat", "cat"))


def test_an_empty_photo_is_named_before_training(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "c.png").touch()
    with pytest.raises(BadImageError, match=r"c\.png is empty"):
        build(tmp_path, photos=[tmp_path / "a.png", tmp_path / "c.png"])


def test_a_missing_photo_is_named_before_training(tmp_path: Path) -> None:
    with pytest.raises(MissingImageError, match=r"c\.png does not exist"):
        build(tmp_path, photos=[tmp_path / "a.png", tmp_path / "c.png"])


def test_the_fingerprint_is_of_classes_ids_and_tags(tmp_path: Path) -> None:
    same = fingerprint(build(tmp_path))
    assert len(same) == 64
    assert fingerprint(build(tmp_path, split="other", name="other")) == same
    others = [
        build(tmp_path, classes=("cat", "cow")),
        build(tmp_path, ids=("a", "c")),
        build(tmp_path, ids=("b", "a")),
        build(tmp_path, labels=np.array([[1, 1], [0, 1]], dtype=np.uint8)),
    ]
    assert len({same, *map(fingerprint, others)}) == 5


def test_the_fingerprint_is_the_same_tomorrow(tmp_path: Path) -> None:
    assert fingerprint(build(tmp_path)).startswith("39530fcb225854fa")
