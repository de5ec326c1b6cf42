import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import TINY_SPLITS, save_mask

from oaa_pl.data.source import Source, fingerprint
from oaa_pl.data.voc import VOC_CLASSES, VocSource
from oaa_pl.errors import (
    BadImageError,
    BadListError,
    BadMaskError,
    BadTagFileError,
    ConfigError,
    EmptySplitError,
    MissingImageError,
    MissingMaskError,
    MissingSplitError,
    UnknownClassError,
    UntaggedImageError,
)

TAGS = [{"cat"}, {"dog"}, {"cat", "person"}, {"dog", "person"}]


def names(source: Source) -> list[set[str]]:
    return [{VOC_CLASSES[c] for c in np.flatnonzero(row)} for row in source.labels]


def tag_file(root: Path) -> Path:
    path = root / "tags.txt"
    path.write_text(
        "2007_000004 person dog\n2007_000001 cat\n2007_000002 dog\n2007_000003 14 7\nelse bus\n"
    )
    return path


def test_a_split_is_read_with_tags_from_masks(tiny_voc: Path) -> None:
    source = VocSource(tiny_voc, "train")
    assert isinstance(source, Source)
    assert source.ids == ("2007_000001", "2007_000002", "2007_000003", "2007_000004")
    assert names(source) == TAGS
    assert source.photo(0).shape == (48, 64, 3)
    assert set(np.unique(source.mask(2))) == {0, 8, 15, 255}


@pytest.mark.parametrize("tags", ["annotations", "file"])
def test_training_needs_no_masks(tiny_voc: Path, tags: str) -> None:
    shutil.rmtree(tiny_voc / "SegmentationClass")
    source = VocSource(tiny_voc, "train", tags=tags, tag_file=tag_file(tiny_voc))
    assert names(source) == TAGS
    assert not source.has_masks
    with pytest.raises(MissingMaskError, match="has no masks"):
        source.mask(0)


def test_tags_of_all_origins_have_one_fingerprint(tiny_voc: Path) -> None:
    tags = ("masks", "annotations", "file")
    sources = [VocSource(tiny_voc, "train", tags=t, tag_file=tag_file(tiny_voc)) for t in tags]
    assert len({fingerprint(source) for source in sources}) == 1


def test_masks_are_not_opened_for_tags_from_elsewhere(tiny_voc: Path) -> None:
    for path in (tiny_voc / "SegmentationClass").iterdir():
        path.write_text("broken")
    assert VocSource(tiny_voc, "train", tags="annotations").has_masks


def test_a_list_of_photo_and_mask_paths_is_a_split(tiny_voc: Path) -> None:
    listed = tiny_voc / "ImageSets" / "Segmentation" / "both.txt"
    listed.write_text("/JPEGImages/2007_000002.jpg /SegmentationClass/2007_000002.png\n")
    assert VocSource(tiny_voc, "both").ids == ("2007_000002",)


def test_a_missing_split_names_those_that_are_there(tiny_voc: Path) -> None:
    with pytest.raises(MissingSplitError, match=r"test\.txt does not exist .*: train, val\)"):
        VocSource(tiny_voc, "test")


def test_a_missing_root_is_a_missing_split(tmp_path: Path) -> None:
    with pytest.raises(MissingSplitError, match=r"set data\.root to a folder in VOC layout"):
        VocSource(tmp_path / "gone", "train")


def test_an_empty_split_is_named(tiny_voc: Path) -> None:
    (tiny_voc / "ImageSets" / "Segmentation" / "train.txt").write_text("\n\n")
    with pytest.raises(EmptySplitError, match=r"train\.txt lists no image"):
        VocSource(tiny_voc, "train")


def test_an_image_without_file_is_named(tiny_voc: Path) -> None:
    (tiny_voc / "JPEGImages" / "2007_000003.jpg").unlink()
    with pytest.raises(MissingImageError, match=r"2007_000003\.jpg does not exist but split"):
        VocSource(tiny_voc, "train")


def test_a_zero_byte_image_is_named(tiny_voc: Path) -> None:
    (tiny_voc / "JPEGImages" / "2007_000003.jpg").write_bytes(b"")
    with pytest.raises(BadImageError, match=r"2007_000003\.jpg is empty"):
        VocSource(tiny_voc, "train", tags="annotations")


def test_an_unreadable_image_is_named(tiny_voc: Path) -> None:
    (tiny_voc / "JPEGImages" / "2007_000003.jpg").write_text("no photo")
    with pytest.raises(BadImageError, match=r"2007_000003\.jpg is not a readable image"):
        VocSource(tiny_voc, "train", tags="annotations")


def test_a_missing_mask_is_named_where_tags_come_from_it(tiny_voc: Path) -> None:
    (tiny_voc / "SegmentationClass" / "2007_000003.png").unlink()
    with pytest.raises(MissingMaskError, match=r"2007_000003\.png does not exist"):
        VocSource(tiny_voc, "train")


def test_an_id_outside_the_classes_is_named(tiny_voc: Path) -> None:
    with pytest.raises(BadMaskError, match=r"2007_000001\.png has the ids \[8\], expected 0\.\.7"):
        VocSource(tiny_voc, "train", classes=VOC_CLASSES[:7])


def test_a_mask_without_object_leaves_its_image_untagged(tiny_voc: Path) -> None:
    shutil.copy(tiny_voc / "JPEGImages" / "2007_000001.jpg", tiny_voc / "JPEGImages" / "bare.jpg")

    save_mask(tiny_voc / "SegmentationClass" / "bare.png", np.zeros((48, 64), dtype=np.uint8))
    (tiny_voc / "ImageSets" / "Segmentation" / "train.txt").write_text("2007_000001\nbare\n")
    with pytest.raises(UntaggedImageError, match="image 'bare' has no tag"):
        VocSource(tiny_voc, "train")


def test_an_image_without_row_in_the_tag_file_is_named(tiny_voc: Path) -> None:
    path = tag_file(tiny_voc)
    path.write_text("2007_000001 cat\n2007_000002 dog\n")
    match = r"tags\.txt has no row for image '2007_000003' \(2 such\)"
    with pytest.raises(UntaggedImageError, match=match):
        VocSource(tiny_voc, "train", tags="file", tag_file=path)


def test_an_unknown_class_in_the_tag_file_is_named(tiny_voc: Path) -> None:
    path = tiny_voc / "tags.csv"
    path.write_text("image,tags\n2007_000001,unicorn\n")
    with pytest.raises(UnknownClassError, match=r"tags\.csv:2: unknown class 'unicorn'"):
        VocSource(tiny_voc, "train", tags="file", tag_file=path)


def test_an_unknown_class_in_an_annotation_is_named(tiny_voc: Path) -> None:
    path = tiny_voc / "Annotations" / "2007_000002.xml"
    path.write_text("<a><object><name>unicorn</name></object></a>")
    with pytest.raises(UnknownClassError, match=r"2007_000002\.xml: unknown class 'unicorn'"):
        VocSource(tiny_voc, "train", tags="annotations")


def test_a_tag_file_must_be_given(tiny_voc: Path) -> None:
    with pytest.raises(ConfigError, match="needs the path of a tag file"):
        VocSource(tiny_voc, "train", tags="file")
    with pytest.raises(BadTagFileError, match=r"gone\.csv does not exist"):
        VocSource(tiny_voc, "train", tags="file", tag_file="gone.csv")


def test_tags_of_unknown_origin_are_refused(tiny_voc: Path) -> None:
    with pytest.raises(ConfigError, match="one of masks, annotations, file, none, got 'guess'"):
        VocSource(tiny_voc, "train", tags="guess")


def test_a_fraction_of_a_split_is_used(tiny_voc: Path) -> None:
    half = VocSource(tiny_voc, "train", fraction=0.5, fraction_seed=1)
    assert len(half.ids) == len(half.labels) == 2
    assert set(half.ids) < set(VocSource(tiny_voc, "train").ids)


def test_real_photos_are_read(voc2012_320: Path) -> None:
    source = VocSource(voc2012_320, "train_mini")
    assert len(source.ids) == 658
    assert source.labels.sum(axis=0).min() == 18
    for index in range(0, 658, 100):
        assert source.mask(index).shape == source.photo(index).shape[:2]


def test_a_split_whose_tags_nobody_knows_has_photos_only(tiny_voc: Path) -> None:
    for name in TINY_SPLITS["val"]:
        (tiny_voc / "SegmentationClass" / f"{name}.png").unlink()
    source = VocSource(tiny_voc, "val", tags="none")
    assert source.ids == TINY_SPLITS["val"]
    assert not source.labels.any()
    assert not source.has_masks
    assert source.photo(0).shape[2] == 3


def test_an_untagged_split_keeps_the_masks_that_it_has(tiny_voc: Path) -> None:
    assert VocSource(tiny_voc, "val", tags="none").has_masks


# Names, lists and tag files as people have them


def save_list(root: Path, content: str | bytes, name: str = "odd") -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (root / "ImageSets" / "Segmentation" / f"{name}.txt").write_bytes(data)


def rename(root: Path, old: str, new: str) -> None:
    for folder in ("JPEGImages", "SegmentationClass", "Annotations"):
        (path,) = (root / folder).glob(f"{old}.*")
        path.rename(path.with_name(new + path.suffix))


@pytest.mark.parametrize(
    "name",
    ["my photo", "photo 1", "Höhle", "100%", "#1", ".hidden", "a.b", "[x]", "it's", "x.gif 2"],
)
@pytest.mark.parametrize("tags", ["masks", "annotations", "file"])
def test_an_image_may_have_any_name(tiny_voc: Path, name: str, tags: str) -> None:
    rename(tiny_voc, "2007_000001", name)
    save_list(tiny_voc, f"{name}\n2007_000002\n")
    path = tiny_voc / "tags.csv"
    path.write_text(f'image,tags\n"{name}.jpg",cat\n2007_000002,dog\n')
    source = VocSource(tiny_voc, "odd", tags=tags, tag_file=path)
    assert source.ids == (name, "2007_000002")
    assert names(source) == [{"cat"}, {"dog"}]
    assert 8 in np.unique(source.mask(0))


def test_files_are_found_in_either_encoding_of_accents(tiny_voc: Path) -> None:
    rename(tiny_voc, "2007_000001", "Ho\u0308hle")
    save_list(tiny_voc, "H\u00f6hle\n")
    path = tiny_voc / "tags.csv"
    path.write_text("image,tags\nHo\u0308hle,cat\n")
    for tags in ("masks", "annotations", "file"):
        source = VocSource(tiny_voc, "odd", tags=tags, tag_file=path)
        assert source.ids == ("H\u00f6hle",)
        assert names(source) == [{"cat"}]


def test_a_list_may_be_utf_16_with_its_mark(tiny_voc: Path) -> None:
    save_list(tiny_voc, "2007_000001\r\n2007_000002\r\n".encode("utf-16"))
    assert VocSource(tiny_voc, "odd").ids == ("2007_000001", "2007_000002")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (
            "Höhle\n".encode("latin-1"),
            r"list .*odd\.txt is not UTF-8 text \(line 1 has the byte 0xf6",
        ),
        ("2007\n".encode("utf-16-le"), r"odd\.txt is not UTF-8 text .*UTF-16 without a mark"),
        (b"2007_000001\n../x\n", r"odd\.txt:2: '\.\./x' is in a folder"),
        (b"a/b\n", r"odd\.txt:1: 'a/b' is in a folder, .*write the id alone, or use data=folder"),
        (b"a\x07b\n", r"odd\.txt:1: the image .* has the control character U\+0007"),
        (b"..\n", r"odd\.txt:1: "),
    ],
)
def test_a_list_that_cannot_be_read_is_named_with_line_or_encoding(
    tiny_voc: Path, content: bytes, match: str
) -> None:
    save_list(tiny_voc, content)
    with pytest.raises(BadListError, match=match):
        VocSource(tiny_voc, "odd")


@pytest.mark.parametrize(
    "lines",
    [
        "2007_000001 -1\n2007_000002 1\n",
        "2007_000001\t0\n2007_000002\t1\n",
        "/JPEGImages/2007_000001.jpg /Masks/2007_000001.png\nJPEGImages/2007_000002.jpg x.png\n",
        "/data/VOC/JPEGImages/2007_000001.jpg 1\n/2007_000002.jpg 1\n",
        "2007_000001.jpg\n2007_000002.JPG\n",
        " 2007_000001 \n\n2007_000002\n",
    ],
)
def test_what_stands_behind_the_image_is_left_alone(tiny_voc: Path, lines: str) -> None:
    save_list(tiny_voc, lines)
    assert VocSource(tiny_voc, "odd").ids == ("2007_000001", "2007_000002")


def test_numbered_photos_are_not_taken_for_a_column_of_numbers(tiny_voc: Path) -> None:
    rename(tiny_voc, "2007_000001", "photo 0")
    rename(tiny_voc, "2007_000002", "photo 1")
    save_list(tiny_voc, "photo 0\nphoto 1\n")
    assert VocSource(tiny_voc, "odd").ids == ("photo 0", "photo 1")


def test_a_tag_file_with_an_image_twice_is_refused(tiny_voc: Path) -> None:
    path = tiny_voc / "tags.csv"
    path.write_text("image,tags\n2007_000001.jpg,cat\nother,dog\nsub/2007_000001.png,dog\n")
    save_list(tiny_voc, "2007_000001\n")
    match = r"tags\.csv:4: image 'sub/2007_000001\.png' has the id '2007_000001' of line 2"
    with pytest.raises(BadTagFileError, match=match):
        VocSource(tiny_voc, "odd", tags="file", tag_file=path)


def test_a_class_list_of_ones_own_names_the_ids_of_the_masks(tiny_voc: Path) -> None:
    classes = [*range(7), "my cat", *(f"thing {n}" for n in range(12))]
    source = VocSource(tiny_voc, "train", classes=classes)
    assert source.classes[:8] == ("0", "1", "2", "3", "4", "5", "6", "my cat")
    assert source.labels[0].nonzero()[0].tolist() == [7]
    with pytest.raises(ConfigError, match=r"data\.classes: there are 255 classes"):
        VocSource(tiny_voc, "train", classes=[f"c{n}" for n in range(255)])
    with pytest.raises(ConfigError, match=r"data\.classes: 'background' cannot be a class"):
        VocSource(tiny_voc, "train", tags="annotations", classes=["background", "cat"])
