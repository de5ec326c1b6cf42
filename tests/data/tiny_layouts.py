"""Tiny data sets in COCO's and ImageNet's layouts, and a way to spoil their annotations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

# Ids have a hole, a name has a blank.
CATEGORIES = {1: "person", 3: "traffic light", 18: "dog"}
SIZE = (40, 48)
COLOURS = {1: (220, 60, 40), 3: (40, 200, 60), 18: (50, 70, 230)}


def noise(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 130, (*size, 3), dtype=np.uint8)


def square(left: int, top: int, side: int) -> list[list[float]]:
    """A polygon of `side` x `side` pixels."""
    right, bottom = left + side, top + side
    return [[left, top, right, top, right, bottom, left, bottom]]


def coco_file(images: int, first: int = 0) -> dict[str, Any]:
    """Each image has one square; every third a second one, inside of it; the last has nothing."""
    ids = list(CATEGORIES)
    content: dict[str, Any] = {
        "categories": [{"id": key, "name": name} for key, name in CATEGORIES.items()],
        "images": [
            {"id": k, "file_name": f"{k:012d}.jpg", "height": SIZE[0], "width": SIZE[1]}
            for k in range(first, first + images)
        ],
        "annotations": [],
    }
    for k in range(images - 1):
        add(content, first + k, ids[k % 3], square(6, 6, 24))
        if k % 3 == 0:
            add(content, first + k, ids[(k + 1) % 3], square(10, 10, 10))
    return content


def add(content: dict[str, Any], image: int, category: int, shape: Any, **more: Any) -> Any:
    one = {
        "id": len(content["annotations"]) + 1,
        "image_id": image,
        "category_id": category,
        "segmentation": shape,
        "bbox": [6, 6, 24, 24],
        "area": 100,
        "iscrowd": 0,
        **more,
    }
    content["annotations"].append(one)
    return one


def save_coco(root: Path) -> Path:
    (root / "annotations").mkdir(parents=True)
    for split, images, first in (("train2017", 10, 0), ("val2017", 5, 100)):
        content = coco_file(images, first)
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(content))
        (root / split).mkdir()
        for image in content["images"]:
            photo = noise(image["id"])
            for one in content["annotations"]:
                if one["image_id"] == image["id"]:
                    left, top, right = (int(one["segmentation"][0][k]) for k in (0, 1, 2))
                    side = right - left
                    photo[top : top + side, left : left + side] = COLOURS[one["category_id"]]
            Image.fromarray(photo).save(root / split / image["file_name"], quality=95)
    return root


def spoil(root: Path, change: Callable[[dict[str, Any]], object], split: str = "train2017") -> Path:
    """Change an annotation file."""
    path = root / f"annotations/instances_{split}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


WNIDS = {"n01440764": (220, 60, 40), "n02102040": (50, 70, 230)}


def xml(name: str, box: tuple[int, ...] = (6, 6, 30, 30), size: tuple[int, int] = SIZE) -> str:
    ends = "".join(
        f"<{key}>{value}</{key}>"
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return (
        f"<annotation><size><width>{size[1]}</width><height>{size[0]}</height></size><object>"
        f"<name>{name}</name><bndbox>{ends}</bndbox></object></annotation>"
    )


def save_imagenet(root: Path) -> Path:
    """Training photos with boxes as XML; validation photos with a CSV."""
    lines = ["ImageId,PredictionString"]
    for split, count in (("train", 4), ("val", 2)):
        for place, (wnid, colour) in enumerate(WNIDS.items()):
            folder = root / split / wnid
            folder.mkdir(parents=True)
            for number in range(count):
                photo = noise(100 * place + number)
                photo[6:31, 6:31] = colour
                name = f"{wnid}_{split}{number}"
                Image.fromarray(photo).save(folder / f"{name}.JPEG", quality=95)
                if split == "train":
                    boxes = root / "Annotations/CLS-LOC/train" / wnid
                    boxes.mkdir(parents=True, exist_ok=True)
                    (boxes / f"{name}.xml").write_text(xml(wnid))
                else:
                    lines.append(f"{name},{wnid} 6 6 30 30 ")
    (root / "LOC_val_solution.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="session")
def tiny_coco_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in COCO's layout, to be read only."""
    return save_coco(tmp_path_factory.mktemp("data") / "coco")


@pytest.fixture(scope="session")
def tiny_imagenet_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in ImageNet's layout, to be read only."""
    return save_imagenet(tmp_path_factory.mktemp("data") / "imagenet")
