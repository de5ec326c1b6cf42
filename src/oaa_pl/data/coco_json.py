"""Annotation files in the format of COCO: images, categories, objects; every fault is named.

Source: Lin et al., Microsoft COCO, ECCV 2014, and its format page, "Object Detection".

`examine` has the one list of rules: a source raises the first fault, `oaa data check` lists all.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from oaa_pl.data.coco_shapes import is_box, is_whole, shape_faults
from oaa_pl.errors import BadTagFileError
from oaa_pl.files.json_text import parse_json
from oaa_pl.files.text import read_text
from oaa_pl.names import class_fault, name_fault

__all__ = ["Coco", "CocoObject", "examine", "read_coco", "read_json"]


class CocoObject(NamedTuple):
    """One annotated object.

    Attributes:
        category: class 0..C-1.
        shape: a list of polygons, or a run-length encoding with `size` and `counts`.
        crowd: whether it is a region of many objects, which masks ignore.
        box: x, y, width, height in pixels; None if the file does not say.
        name: of the object in the file, for messages.
    """

    category: int
    shape: Any
    crowd: bool
    box: list[float] | None = None
    name: object = None


class Coco(NamedTuple):
    """An annotation file.

    Attributes:
        classes: names in the order of their ids in the file, which may have holes.
        files: image to the name of its file.
        sizes: image to (H, W) in pixels.
        objects: image to its objects, in the file's order; images without objects have none.
    """

    classes: tuple[str, ...]
    files: dict[int, str]
    sizes: dict[int, tuple[int, int]]
    objects: dict[int, list[CocoObject]]


def read_coco(path: Path) -> Coco:
    """Read an annotation file.

    Args:
        path: `instances_<split>.json` or another file in that format.

    Raises:
        BadTagFileError: if it does not exist, is not JSON, or has a fault.
    """
    faults, coco = examine(read_json(path), path)
    if faults or coco is None:
        raise BadTagFileError(faults[0])
    return coco


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Args:
        path: the file.

    Raises:
        BadTagFileError: if it does not exist or is not JSON.
    """
    try:
        return parse_json(read_text(path, "annotation file", BadTagFileError))
    except FileNotFoundError:
        raise BadTagFileError(
            f"annotation file {path} does not exist: give data.root, or data.annotation_file"
        ) from None
    except json.JSONDecodeError as error:
        raise BadTagFileError(
            f"{path}:{error.lineno}: is not JSON ({error.msg}): download it again"
        ) from error
    except BadTagFileError:
        raise
    except ValueError as error:
        raise BadTagFileError(f"{path}: {error}") from error


def examine(content: Any, path: Path) -> tuple[list[str], Coco | None]:
    """Every fault of an annotation file, and what can be read in spite of them.

    Args:
        content: its JSON.
        path: of the file, for the lines.

    Returns:
        The faults, one line each; the images and objects without a fault, or None if the file is
        not in the format at all.
    """
    faults = list(_form_faults(content, path))
    if faults:
        return faults, None

    def sound(entries: list[Any], check: Callable[[int, Any], Iterator[str]]) -> list[Any]:
        kept = []
        for number, one in enumerate(entries):
            found = list(check(number, one))
            faults.extend(found)
            if not found:
                kept.append(one)
        return kept

    ids: set[object] = set()
    categories = sound(
        content["categories"], lambda number, one: _category_faults(number, one, path, ids)
    )
    names = [one["name"] for one in sorted(categories, key=lambda one: one["id"])]
    if names and (fault := class_fault(names)):
        faults.append(f"{path}: {fault}")
    seen: set[object] = set()
    images = sound(content["images"], lambda number, one: _image_faults(number, one, path, seen))
    sizes = {one["id"]: (one["height"], one["width"]) for one in images}
    listed = _ids(content["images"])
    place = {
        one["id"]: number
        for number, one in enumerate(sorted(categories, key=lambda one: one["id"]))
    }
    # Of a category with a fault of its own, objects have none.
    known = _Known(_ids(content["categories"]), listed, sizes, set())
    annotations = sound(
        content["annotations"], lambda number, one: _object_faults(number, one, path, known)
    )
    objects: dict[int, list[CocoObject]] = {image: [] for image in sizes}
    for one in (one for one in annotations if one["category_id"] in place):
        shape, crowd = one.get("segmentation"), bool(one.get("iscrowd", 0))
        category = place[one["category_id"]]
        found = CocoObject(category, shape, crowd, one.get("bbox"), one.get("id"))
        if one["image_id"] in objects:
            objects[one["image_id"]].append(found)
    files = {one["id"]: one["file_name"] for one in images}
    return faults, Coco(tuple(names), files, sizes, objects)


def _ids(entries: list[Any]) -> set[object]:
    """Ids of a list's entries, whatever else is wrong with them."""
    found = (one.get("id") for one in entries if isinstance(one, dict))
    return {one for one in found if not isinstance(one, list | dict)}


def _form_faults(content: Any, path: Path) -> Iterator[str]:
    if not isinstance(content, dict):
        yield f"{path} is not a COCO file: expected an object, got {type(content).__name__}"
        return
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            yield f"{path} is not a COCO file: it has no list {key!r}; give instances_<split>.json"
    first = next(iter(content.get("annotations") or []), None)
    if isinstance(first, dict) and "caption" in first:
        yield f"{path} has captions, no objects: give instances_<split>.json"
    elif isinstance(first, dict) and "segments_info" in first:
        yield f"{path} has panoptic segments: give instances_<split>.json"
    if content.get("images") == []:
        yield f"{path} lists no image"
    if content.get("categories") == []:
        yield f"{path} lists no category"


def _category_faults(number: int, one: Any, path: Path, ids: set[object]) -> Iterator[str]:
    if not isinstance(one, dict) or not is_whole(one.get("id")):
        yield f"{path}: category {number} has no whole number as its id: {one!r}"
        return
    if one["id"] in ids:
        yield f"{path}: category id {one['id']} is used twice: give each class an id of its own"
    ids.add(one["id"])
    if fault := name_fault(one.get("name")):
        yield f"{path}: the name of category {one['id']} {fault}: correct it"


def _image_faults(number: int, one: Any, path: Path, seen: set[object]) -> Iterator[str]:
    if not isinstance(one, dict) or not is_whole(one.get("id")):
        yield f"{path}: image {number} has no whole number as its id"
        return
    where = f"{path}: image {one['id']}"
    if one["id"] in seen:
        yield f"{where} is listed twice: keep one"
    seen.add(one["id"])
    name = one.get("file_name")
    if not isinstance(name, str) or name_fault(name):
        yield f"{where} has no file_name"
    elif Path(name).is_absolute() or ".." in Path(name).parts:
        yield f"{where}: file_name {name!r} is not a path below the photo folder"
    elif name in seen:
        yield f"{where}: file_name {name!r} is that of another image: keep one"
    else:
        seen.add(name)
    if not all(is_whole(one.get(side)) and one[side] > 0 for side in ("height", "width")):
        yield f"{where}: height and width must be whole numbers above 0"


class _Known(NamedTuple):
    """Ids of categories and images, sizes of sound images, ids of the objects so far."""

    categories: set[object]
    images: set[object]
    sizes: dict[Any, tuple[int, int]]
    seen: set[object]


def _object_faults(number: int, one: Any, path: Path, known: _Known) -> Iterator[str]:
    categories, listed, sizes, seen = known
    if not isinstance(one, dict):
        yield f"{path}: annotation {number} is not an object"
        return
    where = f"{path}: annotation {one.get('id', number)}"
    if "id" in one and (not is_whole(one["id"]) or one["id"] in seen):
        yield f"{where} has an id that is used twice, or is not a whole number"
    elif "id" in one:
        seen.add(one["id"])
    if not is_whole(one.get("image_id")) or one["image_id"] not in listed:
        yield f"{where} is of the unknown image {one.get('image_id')!r}: add it to `images`"
        return
    if not is_whole(one.get("category_id")) or one["category_id"] not in categories:
        yield (
            f"{where} is of the unknown category {one.get('category_id')!r}: add it to "
            "`categories`; ids may have holes, objects of a hole may not"
        )
    if one.get("iscrowd", 0) not in (0, 1):
        yield f"{where}: iscrowd must be 0 or 1, got {one['iscrowd']!r}"
    if "bbox" in one and not is_box(one["bbox"]):
        yield f"{where}: bbox must be x, y, width, height of 0 or more, got {one['bbox']!r}"
    if one["image_id"] in sizes:  # the image itself may have a fault
        yield from shape_faults(one.get("segmentation"), where, sizes[one["image_id"]])
