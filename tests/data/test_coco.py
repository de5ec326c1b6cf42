"""COCO's format: tags and masks by its conventions, and an annotation file with faults."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.data.tiny_layouts import CATEGORIES, SIZE, add, save_coco, spoil, square

from oaa_pl.data.coco import CocoSource, validation_source
from oaa_pl.data.coco_json import CocoObject
from oaa_pl.data.coco_masks import draw_mask
from oaa_pl.data.coco_shapes import shape_faults
from oaa_pl.data.source import Source
from oaa_pl.errors import (
    BadMaskError,
    BadTagFileError,
    ConfigError,
    EmptySplitError,
    MissingImageError,
    UnknownClassError,
)

coder = pytest.importorskip("pycocotools.mask")


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    return save_coco(tmp_path / "coco")


def test_classes_keep_blanks_and_ids_may_have_holes(tiny_coco_once: Path) -> None:
    source = CocoSource(tiny_coco_once, "train2017")
    assert isinstance(source, Source)
    assert source.classes == ("person", "traffic light", "dog")
    assert source.labels[0].tolist() == [1, 1, 0]
    assert source.labels[2].tolist() == [0, 0, 1]
    assert source.ids[:2] == ("000000000000", "000000000001")


def test_images_without_objects_are_left_out_and_counted(
    tiny_coco_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    source = CocoSource(tiny_coco_once, "train2017")
    assert (len(source.ids), source.unused) == (9, 1)
    assert "1 images without objects are left out" in caplog.text


def test_where_objects_overlap_the_smaller_one_is_shown(tiny_coco_once: Path) -> None:
    mask = CocoSource(tiny_coco_once, "train2017").mask(0)
    expected = np.zeros(SIZE, np.uint8)
    expected[6:30, 6:30] = 1
    expected[10:20, 10:20] = 2
    assert (mask == expected).all()


def test_the_order_of_the_objects_does_not_matter() -> None:
    objects = [CocoObject(0, square(10, 10, 10), False), CocoObject(1, square(6, 6, 24), False)]
    assert (draw_mask(objects, SIZE) == draw_mask(objects[::-1], SIZE)).all()


def test_a_crowd_is_ignored_where_no_single_object_is() -> None:
    crowd = np.zeros(SIZE, np.uint8)
    crowd[:20] = 1
    code = coder.encode(np.asfortranarray(crowd))
    mask = draw_mask([CocoObject(0, square(4, 4, 8), False), CocoObject(2, code, True)], SIZE)
    expected = np.where(crowd > 0, 255, 0)
    expected[4:12, 4:12] = 1
    assert (mask == expected).all()


def test_every_encoding_gives_one_mask() -> None:
    area = np.zeros(SIZE, np.uint8)
    area[5:20, 7:30] = 1
    code = coder.encode(np.asfortranarray(area))
    runs, last = [0], 0
    for value in area.ravel(order="F").tolist():
        if value != last:
            runs.append(0)
            last = value
        runs[-1] += 1
    text = {"size": code["size"], "counts": code["counts"].decode()}
    counted = {"size": list(SIZE), "counts": runs}
    for shape in (text, counted):
        assert (draw_mask([CocoObject(0, shape, False)], SIZE) == area).all()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_any_encoding_of_pycocotools_fits_its_image(seed: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    area = (generator.random((13, 90)) < share).repeat(3, axis=0).astype(np.uint8)
    code = coder.encode(np.asfortranarray(area))
    shape = {"size": list(area.shape), "counts": code["counts"].decode()}
    assert list(shape_faults(shape, "it", area.shape)) == []
    assert list(shape_faults({**shape, "counts": shape["counts"] + "1"}, "it", area.shape))


def test_the_masks_are_those_of_pycocotools(tiny_coco_once: Path) -> None:
    from pycocotools.coco import COCO

    theirs = COCO(str(tiny_coco_once / "annotations/instances_train2017.json"))
    source = CocoSource(tiny_coco_once, "train2017")
    place = {key: c + 1 for c, key in enumerate(CATEGORIES)}
    for index in range(len(source.ids)):
        mask = np.zeros(SIZE, np.uint8)
        found = theirs.loadAnns(theirs.getAnnIds(imgIds=int(source.ids[index])))
        for one in sorted(found, key=lambda one: -int(theirs.annToMask(one).sum())):
            mask[theirs.annToMask(one) > 0] = place[one["category_id"]]
        assert (source.mask(index) == mask).all()


def test_an_object_without_a_shape_is_a_tag_alone(coco: Path) -> None:
    spoil(coco, lambda content: add(content, 1, 18, []))
    source = CocoSource(coco, "train2017")
    assert source.labels[1].tolist() == [0, 1, 1]
    assert set(np.unique(source.mask(1))) == {0, 2}


def test_given_classes_keep_their_order(tiny_coco_once: Path) -> None:
    source = CocoSource(
        tiny_coco_once, "train2017", classes=["dog", "person", "cow", "traffic light"]
    )
    assert source.labels[0].tolist() == [0, 1, 0, 1]
    assert set(np.unique(source.mask(0))) == {0, 2, 4}


def test_any_file_and_folder_can_be_given(coco: Path) -> None:
    (coco / "annotations/instances_train2017.json").rename(coco / "mine.json")
    (coco / "train2017").rename(coco / "pictures")
    source = CocoSource(coco, "mine", coco / "mine.json", coco / "pictures")
    assert source.split == "mine"
    assert source.photo(0).shape == (*SIZE, 3)


def test_without_a_split_there_is_no_validation(tiny_coco_once: Path) -> None:
    assert validation_source(tiny_coco_once, None) is None
    found = validation_source(tiny_coco_once, "val2017")
    assert found is not None
    assert len(found.ids) == 4


def test_faults_of_the_layout_are_named(coco: Path, tmp_path: Path) -> None:
    with pytest.raises(BadTagFileError, match=r"instances_test\.json does not exist: give data"):
        CocoSource(coco, "test")
    with pytest.raises(UnknownClassError, match="unknown class 'traffic light'"):
        CocoSource(coco, "train2017", classes=["person", "dog"])
    with pytest.raises(ConfigError, match=r"data\.classes: .* cannot be a class"):
        CocoSource(coco, "train2017", classes=["background", "dog"])
    with pytest.raises(MissingImageError, match="nowhere is not a folder"):
        CocoSource(coco, "train2017", photo_folder=tmp_path / "nowhere")
    (coco / "train2017/000000000003.jpg").unlink()
    with pytest.raises(MissingImageError, match=r"image 3: no photo '000000000003\.jpg'"):
        CocoSource(coco, "train2017")


def test_photos_of_another_size_are_refused(coco: Path) -> None:
    Image.new("RGB", (9, 9)).save(coco / "train2017/000000000000.jpg")
    source = CocoSource(coco, "train2017")
    with pytest.raises(BadMaskError, match=r"is 48 x 40 px, but its photo is 9 x 9 px"):
        source.mask(0)
    with pytest.raises(BadMaskError, match=r"is 48 x 40 px, but its photo is 9 x 9 px"):
        source.check_mask_size(0)


def test_a_file_without_any_object_is_empty(coco: Path) -> None:
    spoil(coco, lambda content: content["annotations"].clear())
    with pytest.raises(EmptySplitError, match="has no image with an object"):
        CocoSource(coco, "train2017")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[1", r"json:1: is not JSON"),
        ("[]", "is not a COCO file: expected an object, got list"),
        ("{}", "is not a COCO file: it has no list 'images'"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "lists no image"),
        ('{"images": [{}], "annotations": [], "categories": []}', "lists no category"),
        (
            '{"images": [{}], "categories": [{}], "annotations": [{"caption": "a dog"}]}',
            "has captions, no objects",
        ),
        (
            '{"images": [{}], "categories": [{}], "annotations": [{"segments_info": []}]}',
            "has panoptic segments",
        ),
        ("[" * 100_000, "is nested too deeply|is not JSON"),
        ('{"images": [], "images": []}', "the key 'images' comes twice: keep one of them"),
    ],
)
def test_json_that_is_no_coco_is_named(coco: Path, text: str, message: str) -> None:
    (coco / "annotations/instances_train2017.json").write_text(text)
    with pytest.raises(BadTagFileError, match=message):
        CocoSource(coco, "train2017")


def test_a_fault_of_an_object_is_raised_by_the_source(coco: Path) -> None:
    def hole(content: dict[str, Any]) -> None:
        add(content, 1, 2, square(1, 1, 4))

    path = spoil(coco, hole)
    with pytest.raises(BadTagFileError, match=r"is of the unknown category 2.*ids may have holes"):
        CocoSource(coco, "train2017")
    content = json.loads(path.read_text())
    content["annotations"][-1] |= {"category_id": 1, "image_id": 999}
    path.write_text(json.dumps(content))
    with pytest.raises(BadTagFileError, match="is of the unknown image 999"):
        CocoSource(coco, "train2017")
