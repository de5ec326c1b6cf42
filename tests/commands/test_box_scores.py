"""Scores of localisation in each layout that has boxes, and what is said of faulty boxes."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands.tiny import Said, oaa
from tests.data.tiny_layouts import SIZE, WNIDS, noise, xml

from oaa_pl.data.images import photo_size

LOCAL = {f"maps/{name}" for name in ("max_box_acc", "max_box_acc_v2", "gt_known")}
BOX = (6, 6, 30, 30)


def save_map(folder: Path, name: str, boxes: dict[int, tuple[int, ...]], size: object) -> None:
    """A map that is 1 in one box and 0 elsewhere, for each class."""
    folder.mkdir(exist_ok=True)
    cam = np.zeros((len(boxes), *size), np.float32)  # type: ignore[misc]  # (H, W)
    for one, (x0, y0, x1, y1) in zip(cam, boxes.values(), strict=True):
        one[y0 : y1 + 1, x0 : x1 + 1] = 1
    np.savez(folder / f"{name}.npz", keys=list(boxes), cam=cam)


def evaluated(*words: str) -> dict[str, float]:
    said = oaa("evaluate", "maps=cams", "name=tiny", *words)
    assert said.status == 0, said.err
    [path] = Path("runs/tiny/maps/cams").glob("*/results.csv")
    with path.open(newline="") as file:
        return {row["metric"]: float(row["value"]) for row in csv.DictReader(file)}


@pytest.fixture
def own_photos(empty: Path) -> Path:
    """Four photos in two folders, tags, and boxes in the form of the localisation benchmark."""
    rows, lines = ["image,tags"], []
    for place, name in enumerate(WNIDS):
        for number in range(2):
            path = empty / f"photos/{name}/{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise(10 * place + number)).save(path)
            rows.append(f"{name}/{number}.png,{name}")
            lines.append(f"{name}/{number}.png," + ",".join(map(str, BOX)))
    (empty / "tags.csv").write_text("\n".join(rows))
    (empty / "localization.txt").write_text("\n".join(lines))
    return empty


def of_folder(root: Path, *more: str) -> tuple[str, ...]:
    return ("data=folder", f"data.root={root}/photos", f"data.tag_file={root}/tags.csv",
            f"data.box_path={root}/localization.txt", *more)  # fmt: skip


def test_maps_of_a_folder_are_scored_by_the_benchmarks_list_of_boxes(own_photos: Path) -> None:
    for place, name in enumerate(WNIDS):
        for number, box in enumerate((BOX, (40, 2, 46, 8))):
            save_map(Path("cams"), f"{name}__{number}", {place: box}, SIZE)
    assert evaluated(*of_folder(own_photos)) == dict.fromkeys(LOCAL, 50)


def test_a_class_without_a_map_is_a_miss_where_masks_are_scored_too(own_photos: Path) -> None:
    (own_photos / "masks").mkdir()
    mask = np.zeros(SIZE, np.uint8)
    mask[6:31, 6:31] = 1
    for place, name in enumerate(WNIDS):
        for number in range(2):
            category = {place: BOX} if number else {}
            save_map(Path("cams"), f"{name}__{number}", category, SIZE)
            Image.fromarray(mask * (place + 1)).save(f"masks/{name}__{number}.png")
    found = evaluated(*of_folder(own_photos, "data.mask_folder=masks"))
    assert {name: found[name] for name in LOCAL} == dict.fromkeys(LOCAL, 50)
    assert {"maps/miou", "maps/pxap", "maps/m_fn"} <= found.keys()


def test_maps_of_voc_and_of_coco_get_scores_of_masks_and_of_boxes(
    empty: Path, tiny_voc: Path, tiny_coco_once: Path
) -> None:
    for name in ("2007_000005", "2007_000006"):
        size = photo_size(tiny_voc / f"JPEGImages/{name}.jpg")
        path = tiny_voc / f"Annotations/{name}.xml"
        path.write_text(xml("dog" if name[-1] == "5" else "person", (3, 13, 24, 40), size))
        own = {7: (0, 0, 4, 4), 11: (2, 12, 23, 39)} if name[-1] == "5" else {14: (0, 0, 3, 3)}
        save_map(Path("cams"), name, own, size)
    found = evaluated(
        "data=voc12", f"data.root={tiny_voc}", "data.train_split=val", "data.val=null"
    )
    assert {name: found[name] for name in LOCAL} == dict.fromkeys(LOCAL, 50)
    assert "maps/miou" in found


def test_maps_of_coco_get_scores_of_masks_and_of_boxes(empty: Path, tiny_coco_once: Path) -> None:
    pytest.importorskip("pycocotools")
    boxes = {100: {0: (6, 6, 29, 29), 1: (0, 0, 1, 1)}, 101: {1: (6, 6, 29, 29)},
             102: {2: (6, 6, 29, 29)}, 103: {0: (6, 6, 29, 29), 1: (6, 6, 29, 29)}}  # fmt: skip
    for image, own in boxes.items():
        save_map(Path("cams"), f"{image:012d}", own, SIZE)
    found = evaluated("data=coco", f"data.root={tiny_coco_once}")
    assert found["maps/gt_known"] == pytest.approx(100 * 5 / 6)
    assert "maps/miou" in found


def check(*words: str) -> list[str]:
    said: Said = oaa("data", "check", "name=mine", *words)
    starts = ("  error: ", "  warning: ")
    return [line.strip() for line in said.out.splitlines() if line.startswith(starts)]


def test_each_fault_of_the_boxes_of_a_folder_is_named_once(own_photos: Path) -> None:
    path = own_photos / "localization.txt"
    lines = path.read_text().splitlines()
    lines[0] = lines[0].replace("30,30", "30,300")
    lines[1] = lines[1].replace("6,6", "6,x")
    lines[2] += ",n01440764"
    lines[3] = lines[3].replace("/1.png", "/9.png")
    path.write_text("\n".join(lines))
    found = check(*of_folder(own_photos))
    for text in ("txt:1: the box (6, 6, 30, 300) leaves", "txt:2: a box must be four numbers",
                 "txt:3: a box is of 'n01440764', but its image is of 'n02102040'",
                 "has no box of image 'n02102040__1'"):  # fmt: skip
        assert sum(text in line for line in found) == 1, (text, found)
    # The same where the photos cannot be opened.
    (own_photos / "tags.csv").write_text(
        (own_photos / "tags.csv").read_text() + "\ngone.png,n01440764"
    )
    again = check(*of_folder(own_photos))
    assert set(found) < set(again)
    assert sum("gone.png" in line for line in again) == 1


def test_boxes_of_voc_that_nobody_asked_for_are_a_warning(tiny_voc: Path) -> None:
    words = ("data=voc12", f"data.root={tiny_voc}", "data.train_split=train", "data.val=null",
             f"check.sheet={tiny_voc}/sheet.jpg")  # fmt: skip
    [line] = [line for line in check(*words) if "Annotations" in line]
    assert line.startswith("warning: ")
    assert "4 of its boxes have a fault, so that there are no scores with boxes" in line
    given = check(*words, f"data.box_path={tiny_voc}/Annotations")
    assert sum(line.startswith("error: ") and "has no <bndbox>" in line for line in given) == 4
