"""`oaa data check` on COCO's and ImageNet's layouts and on exports: each fault is named once."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.commands.tiny import Said, oaa
from tests.data.odd_images import exif_block, orientation_tag
from tests.data.tiny_layouts import SIZE, add, noise, save_coco, save_imagenet, spoil, square, xml

pytest.importorskip("pycocotools")


def check(data: str, root: Path, *more: str) -> Said:
    return oaa("data", "check", f"data={data}", "name=mine", f"data.root={root}", *more)


def lines(said: Said) -> list[str]:
    starts = ("  error: ", "  warning: ")
    return [line.partition(": ")[2] for line in said.out.splitlines() if line.startswith(starts)]


def require_each_once(said: Said, faults: dict[str, str]) -> None:
    found = lines(said)
    for name, text in faults.items():
        assert sum(text in line for line in found) == 1, (name, text, said.out, said.err)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("data", ["coco", "imagenet"])
def test_a_sound_tree_has_no_fault(
    empty: Path, tiny_coco_once: Path, tiny_imagenet_once: Path, data: str
) -> None:
    root = tiny_coco_once if data == "coco" else tiny_imagenet_once
    said = check(data, root)
    assert said.status == 0, said.out + said.err
    assert "  0 errors" in said.out
    if data == "coco":
        assert "coco/train2017: 9 photos, 3 classes: person (3), traffic light (6)" in said.out
        assert "1 images without objects are left out" in said.out
    else:
        assert "imagenet/train: 8 photos, 2 classes: n01440764 (4), n02102040 (4)" in said.out


RLE = {"size": list(SIZE), "counts": [SIZE[0] * SIZE[1]]}

# What is wrong with an object -> a part of its line.
OBJECTS: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"image_id": 999}, "is of the unknown image 999"),
    "image text": ({"image_id": "1"}, "is of the unknown image '1'"),
    "hole": ({"category_id": 2}, "is of the unknown category 2"),
    "id": ({"id": 1}, "annotation 1 has an id that is used twice"),
    "crowd": ({"iscrowd": 5}, "iscrowd must be 0 or 1, got 5"),
    "box": ({"bbox": [1, 2, -3, 4]}, "annotation 505: bbox must be x, y, width, height"),
    "odd": ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "a polygon has 7 numbers"),
    "two points": ({"segmentation": [[1, 2, 3, 4]]}, "a polygon has 2 points, expected 3"),
    "text": (
        {"segmentation": [["a", 2, 3, 4, 5, 6]]},
        "annotation 508: a polygon must be",
    ),
    "far": ({"segmentation": square(200, 2, 30)}, "reaches (230, 32), but its image is 48 x 40"),
    "kind": ({"segmentation": "polygon"}, "must be polygons or an RLE, got str"),
    "rle keys": ({"segmentation": {"counts": "x"}}, "an RLE must have size and counts"),
    "rle no size": ({"segmentation": {**RLE, "size": None}}, "its RLE is of None"),
    "huge": ({"segmentation": [[10**400, 2, 3, 4, 5, 6]]}, "annotation 513: a polygon must be"),
    "huge box": ({"bbox": [10**400, 1, 2, 3]}, "annotation 514: bbox must be x, y"),
    "box outside": ({"bbox": [40, 1, 90, 3]}, "leaves its image of 48 x 40 px"),
    "rle size": ({"segmentation": {**RLE, "size": [9, 9]}}, "its RLE is of [9, 9]"),
    "rle length": ({"segmentation": {**RLE, "counts": [3, 5]}}, "its RLE has 8 pixels"),
    "rle text": ({"segmentation": {**RLE, "counts": "52"}}, "its RLE has 7 pixels"),
    "rle counts": ({"segmentation": {**RLE, "counts": [-1, 4]}}, "must be text or whole numbers"),
}


def broken_coco(root: Path) -> dict[str, str]:
    """Faults of images, categories and objects, all in one annotation file."""
    found: dict[str, str] = {}

    def change(content: dict[str, Any]) -> None:
        content["categories"] += [
            {"id": 3, "name": "lamp"}, {"name": "no id"}, {"id": 40}, {"id": 41, "name": "Dog"},
            {"id": [7], "name": "list"},
        ]  # fmt: skip
        good = {"height": SIZE[0], "width": SIZE[1]}
        content["images"] += [
            {"id": 1, "file_name": "again.jpg", **good},
            {"id": 20, **good},
            {"id": 21, "file_name": "../out.jpg", **good},
            {"id": 22, "file_name": "000000000001.jpg", **good},
            {"id": 23, "file_name": "flat.jpg", "height": 0, "width": 48},
            {"file_name": "no id.jpg", **good},
            {"id": {"of": "an object"}, "file_name": "object.jpg", **good},
            {"id": 24, "file_name": "gone.jpg", **good},
            {"id": 25, "file_name": "empty.jpg", **good},
            {"id": 26, "file_name": "text.jpg", **good},
            {"id": 27, "file_name": "small.jpg", **good},
            {"id": 28, "file_name": "bare.jpg", **good},
        ]
        for image in (24, 25, 26, 27):
            add(content, image, 1, square(4, 4, 9))
        add(content, 28, 18, [])
        for number, (values, _) in enumerate(OBJECTS.values()):
            add(content, 1, 1, square(2, 2, 5), **{"id": 500 + number, **values})
        content["annotations"].append("no object")

    spoil(root, change)
    photos = root / "train2017"
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "text.jpg").write_text("no photo")
    Image.fromarray(noise(77, (36, 44))).save(photos / "small.jpg")
    Image.fromarray(noise(78)).save(photos / "bare.jpg")
    Image.fromarray(noise(79)).save(photos / "unlisted.jpg")
    found |= {name: text for name, (_, text) in OBJECTS.items()}
    return found | {
        "category twice": "category id 3 is used twice",
        "category without id": "has no whole number as its id: {'name': 'no id'}",
        "category of a list": "has no whole number as its id: {'id': [7], 'name': 'list'}",
        "category without name": "the name of category 40 must be text, got NoneType",
        "categories alike": "'dog' and 'Dog' differ only in case",
        "image twice": "image 1 is listed twice",
        "no file": "image 20 has no file_name",
        "out": "file_name '../out.jpg' is not a path below",
        "file twice": "image 22: file_name '000000000001.jpg' is that of another image",
        "no height": "image 23: height and width must be whole numbers above 0",
        "image without id": "instances_train2017.json: image 15 has no whole number",
        "image with an object": "instances_train2017.json: image 16 has no whole number",
        "no object": "is not an object",
        "gone": "image 24: no photo 'gone.jpg'",
        "empty": "empty.jpg is empty",
        "no photo": "text.jpg is not a readable image",
        "size": "image 'small' is 48 x 40 px, but its photo is 44 x 36 px",
        "no segmentation": "1 objects have no segmentation",
        "unused": "1 images without objects are left out",
        "unlisted": "have no tag and are left out: unlisted.jpg",
    }


def test_more_than_thirty_faults_of_a_coco_tree_are_each_named_once(
    empty: Path, tmp_path: Path
) -> None:
    root = save_coco(tmp_path / "coco")
    faults = broken_coco(root)
    assert len(faults) >= 30
    said = check("coco", root, "data.val_split=null")
    assert said.status == 2
    require_each_once(said, faults)


def test_a_file_that_cannot_be_read_is_one_fault(empty: Path, tmp_path: Path) -> None:
    root = save_coco(tmp_path / "coco")
    path = root / "annotations/instances_train2017.json"
    for text, fault in (("{", "is not JSON"), ("[]", "is not a COCO file"), (None, "does not exi")):
        path.unlink()
        if text is not None:
            path.write_text(text)
        said = check("coco", root, "data.val_split=null")
        assert said.status == 2
        (line,) = lines(said)
        assert fault in line
        path.write_text("")


def test_classes_that_are_not_given_are_named_once(empty: Path, tiny_coco_once: Path) -> None:
    said = check("coco", tiny_coco_once, "data.val_split=null", "data.classes=[person,dog]")
    assert said.status == 2
    assert sum("traffic light" in line for line in lines(said)) == 1, said.out


def broken_boxes(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Name of an annotation, its text, a part of its line."""
    good = xml("n01440764")
    yield "text", "no xml", "is not XML"
    yield "bare", "<annotation/>", "has no <object>"
    yield "nobox", "<annotation><object/></annotation>", "has no <bndbox>"
    yield "letters", good.replace(">30<", ">x<", 1), "a box must be four numbers"
    yield "three", good.replace("<ymax>30</ymax>", ""), "a box must be four numbers"
    yield "turned", xml("n01440764", (9, 9, 3, 30)), "ends before it begins"
    yield "far", xml("n01440764", (9, 9, 300, 30)), "leaves its photo of 48 x 40 px"
    yield "minus", xml("n01440764", (-4, 9, 30, 30)), "leaves its photo of 48 x 40 px"
    yield "other", xml("n02102040"), "a box is of 'n02102040'"
    yield "unknown", xml("n07777777"), "a box is of 'n07777777'"
    yield "latin", '<?xml version="1.0" encoding="klingon"?><annotation/>', "klingon"


def broken_imagenet(root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    photos = root / "train/n01440764"
    boxes = root / "Annotations/CLS-LOC/train/n01440764"
    masks = root / "masks"
    masks.mkdir()
    for number, (name, text, part) in enumerate(broken_boxes(boxes)):
        Image.fromarray(noise(300 + number)).save(photos / f"{name}.png")
        (boxes / f"{name}.xml").write_text(text)
        found[name] = f"{part}" if name == "latin" else f"{boxes}/{name}.xml"
    Image.fromarray(noise(350)).save(photos / "lost.png")
    found["lost"] = "so 'lost' has no box"
    for name, content in (("zero", b""), ("words", b"no photo"), ("cut", None)):
        path = photos / f"{name}.jpg"
        Image.fromarray(noise(360)).save(path)
        path.write_bytes(path.read_bytes()[:300] if content is None else content)
        (boxes / f"{name}.xml").write_text(xml("n01440764"))
        found[name] = f"{path} is empty" if content == b"" else f"{path} is not a readable image"
    found["cut"] = f"{photos}/cut.jpg "
    (root / "train/n03333333").mkdir()
    found["hollow"] = "folders without a photo: n03333333"
    (root / "train/n04444444").mkdir()
    Image.fromarray(noise(371)).save(root / "train/n04444444/one.png")
    found["left out"] = "1 photos of other classes are left out"
    # The same picture in two classes.
    twin = root / "train/n02102040/twin.png"
    Image.fromarray(noise(372)).save(twin)
    Image.fromarray(noise(372)).save(photos / "twin.png")
    (boxes / "twin.xml").write_text(xml("n01440764"))
    (boxes.parent / "n02102040/twin.xml").write_text(xml("n02102040"))
    found["twin"] = "are one picture with different tags"
    for name, size in (("tiny", (16, 20)), ("wide", (40, 400))):
        Image.fromarray(noise(380, size)).save(photos / f"{name}.png")
        (boxes / f"{name}.xml").write_text(xml("n01440764", (1, 1, 9, 9)))
    found |= {"tiny": "tiny.png is tiny (20 x 16 px)", "wide": "10.0 times as long as wide"}
    really = photos / "really.png"
    Image.fromarray(noise(390)).save(really, "JPEG")
    (boxes / "really.xml").write_text(xml("n01440764"))
    found["really"] = f"{really} holds a JPEG"
    turned = photos / "turned.png"
    Image.fromarray(noise(395)).save(turned, exif=exif_block([orientation_tag(3)]))
    found["turned"] = f"{turned} is turned by its orientation tag"
    for number, name in enumerate(("Alike", "alike")):
        Image.fromarray(noise(396 + number)).save(photos / f"{name}.png")
    found["alike"] = "look alike: rename all but one"
    for name in ("turned", "Alike", "alike"):
        (boxes / f"{name}.xml").write_text(xml("n01440764"))
    (photos / "nowhere.png").symlink_to("nothing")
    found["nowhere"] = "nowhere.png is a link to nothing"
    os.mkfifo(photos / "pipe.png")
    found["pipe"] = "pipe.png is not a regular file"
    files = [path for path in sorted((root / "train").rglob("*.*")) if path.is_file()]
    for path in files:
        mask = np.zeros(SIZE, np.uint8)
        mask[6:20, 6:20] = 1 + (path.parent.name == "n02102040")
        Image.fromarray(mask).save(masks / f"{path.parent.name}__{path.stem}.png")
    sound = "n02102040__n02102040_train"
    (masks / f"{sound}0.png").unlink()
    found["no mask"] = f"{sound}0.png does not exist"
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(masks / f"{sound}1.png")
    found["mask size"] = f"{sound}1.png is 9 x 9 px but its photo is 48 x 40 px"
    Image.fromarray(np.full(SIZE, 9, np.uint8)).save(masks / f"{sound}2.png")
    found["mask ids"] = f"{sound}2.png has the ids [9]"
    Image.fromarray(noise(391)).save(masks / f"{sound}3.png")
    found["mask colours"] = f"{sound}3.png is a mask of colours"
    for name, size in (("tiny", (16, 20)), ("wide", (40, 400))):
        Image.fromarray(np.ones(size, np.uint8)).save(masks / f"n01440764__{name}.png")
    return found


def test_thirty_faults_of_an_imagenet_tree_are_each_named_once(empty: Path, tmp_path: Path) -> None:
    root = save_imagenet(tmp_path / "imagenet")
    faults = broken_imagenet(root)
    faults["class"] = "data.classes: 'n09999999' has no photo"
    faults["bare class"] = "class 'n09999999' has only 0 of the photos"
    classes = "data.classes=[n01440764,n02102040,n09999999]"
    said = check("imagenet", root, "data.val_split=null", classes, f"data.mask_folder={root}/masks")
    assert said.status == 2
    assert len(faults) >= 30
    require_each_once(said, faults)


def test_faults_of_a_csv_of_boxes_are_each_named_once(empty: Path, tmp_path: Path) -> None:
    root = save_imagenet(tmp_path / "imagenet")
    path = root / "LOC_val_solution.csv"
    rows = path.read_text().splitlines()
    path.write_text(
        "\n".join(
            [rows[0], rows[1], rows[1], rows[2] + "x", "n9,n1 1 2", "gone,n1 1 2 3 4",
             rows[4].replace("6 6 30 30", "6 6 300 30")]
        )
    )  # fmt: skip
    said = check("imagenet", root, "data.train_split=val", "data.val_split=null")
    assert said.status == 2
    require_each_once(
        said,
        {
            "twice": "csv:3: image 'n01440764_val0' has a line already",
            "letters": "csv:4: ",
            "short": "csv:5: expected an image and 'class x0 y0 x1 y1'",
            "no photo": "has boxes of 1 images that have no photo (gone)",
            "far": "csv:7: the box (6, 6, 300, 30) leaves its photo",
            "missing": "has no box of image 'n02102040_val0'",
        },
    )


def test_faults_of_an_export_are_each_named_once(empty: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(6):
        Image.fromarray(noise(number)).save(photos / f"{number}.png")
    tags = {f"{n}.png": ["cat", "dog"][n % 2 :][:1] for n in range(6)}
    bad = {"gone.png": ["cat"], "bare.png": [], "../x.png": ["cat"], "two.png": ["a\nb"]}
    (tmp_path / "tags.json").write_text(json.dumps({**tags, **bad}))
    said = oaa(
        "data", "check", "data=folder", "name=mine", f"data.root={photos}",
        f"data.tag_file={tmp_path}/tags.json",
    )  # fmt: skip
    assert said.status == 2
    faults = {
        "gone": "no photo 'gone.png'", "bare": "image 'bare.png' has no tag",
        "out": "'../x.png' is not a path", "lines": "has the control character U+000A",
    }  # fmt: skip
    require_each_once(said, faults)
    assert "folder/train: 6 photos" in said.out
