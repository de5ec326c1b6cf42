"""ImageNet's layout: tags from folders, boxes from XML or a CSV."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.tiny_layouts import SIZE, WNIDS, save_imagenet, xml

from oaa_pl.data.box_files import BoxFiles
from oaa_pl.data.boxed import boxes_of
from oaa_pl.data.imagenet import ImagenetSource, validation_source
from oaa_pl.data.source import Source
from oaa_pl.errors import (
    BadTagFileError,
    ConfigError,
    EmptySplitError,
    MissingInputError,
    MissingSplitError,
    UnknownClassError,
)


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    return save_imagenet(tmp_path / "imagenet")


@pytest.mark.parametrize("split", ["train", "val"])
def test_folders_are_classes_and_boxes_are_found(tiny_imagenet_once: Path, split: str) -> None:
    source = ImagenetSource(tiny_imagenet_once, split)
    assert isinstance(source, Source)
    assert source.classes == tuple(WNIDS)
    assert source.ids[0] == f"n01440764__n01440764_{split}0"
    assert source.labels[-1].tolist() == [0, 1]
    assert source.has_boxes
    assert boxes_of(source, 0)[0].tolist() == [[6, 6, 30, 30]]
    assert list(boxes_of(source, len(source.ids) - 1)) == [1]


def test_the_published_tree_is_found_below_its_root(imagenet: Path, tmp_path: Path) -> None:
    data = tmp_path / "new/ILSVRC/Data/CLS-LOC"
    data.mkdir(parents=True)
    (imagenet / "train").rename(data / "train")
    (imagenet / "Annotations").rename(tmp_path / "new/ILSVRC/Annotations")
    source = ImagenetSource(tmp_path / "new", "train")
    assert source.has_boxes
    assert len(source.ids) == 8


def test_photos_without_folders_take_their_class_from_the_csv(imagenet: Path) -> None:
    for path in list((imagenet / "val").rglob("*.JPEG")):
        path.rename(imagenet / "val" / path.name)
    source = ImagenetSource(imagenet, "val", classes=tuple(WNIDS))
    assert source.labels.sum(axis=0).tolist() == [2, 2]
    assert boxes_of(source, 0)[0].tolist() == [[6, 6, 30, 30]]
    (imagenet / "LOC_val_solution.csv").unlink()
    with pytest.raises(BadTagFileError, match="4 photos outside of a folder"):
        ImagenetSource(imagenet, "val")


def test_some_classes_can_be_chosen(tiny_imagenet_once: Path) -> None:
    source = ImagenetSource(tiny_imagenet_once, "train", classes=["n02102040"])
    assert source.classes == ("n02102040",)
    assert len(source.ids) == 4
    with pytest.raises(UnknownClassError, match="n09999999 has no photo"):
        ImagenetSource(tiny_imagenet_once, "train", classes=["n02102040", "n09999999"])


def test_too_many_classes_for_a_label_map_are_named(tmp_path: Path) -> None:
    for number in range(300):
        folder = tmp_path / f"train/n{number:08d}"
        folder.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(folder / "one.png")
    with pytest.raises(ConfigError, match=r"there are 300 classes .* 254 at most.*data\.classes"):
        ImagenetSource(tmp_path, "train")


def test_masks_may_be_in_one_folder(imagenet: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    mask = np.zeros(SIZE, np.uint8)
    mask[6:31, 6:31] = 1
    Image.fromarray(mask).save(tmp_path / "masks/n01440764__n01440764_train0.png")
    source = ImagenetSource(imagenet, "train", mask_folder=tmp_path / "masks")
    assert (source.mask(0) == mask).all()


def test_without_a_split_there_is_no_validation(tiny_imagenet_once: Path) -> None:
    assert validation_source(tiny_imagenet_once, None) is None
    assert validation_source(tiny_imagenet_once, "val") is not None


def test_a_data_set_without_boxes_has_none(imagenet: Path) -> None:
    (imagenet / "LOC_val_solution.csv").unlink()
    source = ImagenetSource(imagenet, "val")
    assert not source.has_boxes
    assert boxes_of(source, 0) == {}
    with pytest.raises(MissingInputError, match=r"has no boxes: give data\.box_path"):
        source.boxes(0)


def test_faults_of_the_layout_are_named(tmp_path: Path, imagenet: Path) -> None:
    with pytest.raises(MissingSplitError, match="test does not exist, nor Data/CLS-LOC/test"):
        ImagenetSource(imagenet, "test")
    (tmp_path / "bare/train").mkdir(parents=True)
    with pytest.raises(EmptySplitError, match="has no photo: make one subfolder"):
        ImagenetSource(tmp_path / "bare", "train")
    with pytest.raises(MissingInputError, match="nowhere do not exist: give a folder of XML"):
        ImagenetSource(imagenet, "train", box_path=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no xml", "is not XML"),
        ("<annotation/>", "has no <object>"),
        ("<annotation><object/></annotation>", "has no <bndbox>"),
        (xml("n01440764", (6, 6, 5, 30)), "ends before it begins"),
        (xml("n01440764", (6, 6, 99, 30)), "leaves its photo of 48 x 40 px"),
        (xml("n02102040"), "a box is of 'n02102040', but its image is of 'n01440764'"),
        (xml("n01440764").replace(">6<", ">x<"), "a box must be four numbers"),
        (None, "does not exist, so 'n01440764_train0' has no box"),
    ],
)
def test_a_faulty_annotation_is_named(imagenet: Path, text: str | None, message: str) -> None:
    path = imagenet / "Annotations/CLS-LOC/train/n01440764/n01440764_train0.xml"
    path.unlink()
    if text is not None:
        path.write_text(text)
    source = ImagenetSource(imagenet, "train")
    with pytest.raises(BadTagFileError, match=message):
        source.boxes(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ImageId,PredictionString\na,n1 1 2 3\n", r"csv:2: expected an image and 'class x0"),
        ("ImageId,PredictionString\na,n1 1 2 3 x\n", r"csv:2: a box must be four numbers"),
        ("ImageId,PredictionString\na,n1 1 2 3 4\na,n1 1 2 3 4\n", r"csv:3: image 'a' has a line"),
        ("a.jpg,1,2,3\n", r"csv:1|no box"),
        ("a.jpg,1,2,3,4\nb.jpg,1,2,3\n", r"csv:2: expected image,x0,y0,x1,y1"),
        ("b.jpg,1,2,3,4\n", "has no box of image 'a'"),
        ("image,x0,y0,x1,y1\nb.jpg,1,2,3,4\n", "has no box of image 'a'"),
    ],
)
def test_a_faulty_csv_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    with pytest.raises(BadTagFileError, match=message):
        BoxFiles(path).of(Path("a.jpg"))


def test_lines_of_the_localisation_benchmark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "localization.txt"
    path.write_text("val/a.JPEG,45,49,499,162\nval/a.JPEG,2,69,437,207\nval/b.JPEG,1,2,3,4\n")
    found = BoxFiles(path).of(Path("val/a.JPEG"))
    assert [box.ends for box in found] == [(45, 49, 499, 162), (2, 69, 437, 207)]
