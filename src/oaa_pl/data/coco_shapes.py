"""Shapes of COCO's objects: polygons and run-length encodings, and what can be wrong with them.

Shapes: H x W pixels of a photo.
"""

from collections.abc import Iterator
from typing import Any

from oaa_pl.files.rle import runs_of

__all__ = ["is_box", "is_whole", "shape_faults"]

_LARGEST = 1e9  # pixels: no photo is larger, and float64 keeps halves of it
_FAR = 0.05  # of a side: polygons that leave the image by more are of another size


def shape_faults(shape: Any, where: str, size: tuple[int, int]) -> Iterator[str]:
    """Every fault of one object's segmentation, one line each.

    Args:
        shape: the segmentation; none, or an empty list, is a tag without pixels.
        where: file and object, for the lines.
        size: (H, W) of its image.
    """
    if shape is None or shape == []:
        return  # a box alone: a tag, but no pixel of a mask
    if isinstance(shape, dict):
        yield from _rle_faults(shape, where, size)
        return
    if not isinstance(shape, list):
        yield f"{where}: segmentation must be polygons or an RLE, got {type(shape).__name__}"
        return
    for polygon in shape:
        if not isinstance(polygon, list) or not all(_number(value) for value in polygon):
            yield f"{where}: a polygon must be a list of finite numbers, in pixels"
        elif len(polygon) % 2:
            yield f"{where}: a polygon has {len(polygon)} numbers, expected pairs of x and y"
        elif len(polygon) < 6:
            yield f"{where}: a polygon has {len(polygon) // 2} points, expected 3 or more"
        else:
            height, width = size
            x, y = polygon[0::2], polygon[1::2]
            far = max(max(x) - width, -min(x)) > _FAR * width
            if far or max(max(y) - height, -min(y)) > _FAR * height:
                yield (
                    f"{where}: a polygon reaches ({max(x):g}, {max(y):g}), but its image is "
                    f"{width} x {height} px: it is of another size"
                )


def _rle_faults(shape: dict[str, Any], where: str, size: tuple[int, int]) -> Iterator[str]:
    if "counts" not in shape or "size" not in shape:
        yield f"{where}: an RLE must have size and counts, got {', '.join(shape)}"
        return
    if not isinstance(shape["size"], list) or shape["size"] != list(size):
        yield (
            f"{where}: its RLE is of {shape['size']} (height, width), but its image is "
            f"{list(size)}: encode it again"
        )
        return
    counts = shape["counts"]
    if isinstance(counts, str):
        total = _compressed_length(counts)
    elif isinstance(counts, list) and all(is_whole(one) and one >= 0 for one in counts):
        total = sum(counts)
    else:
        total = None
    if total is None:
        yield f"{where}: counts of its RLE must be text or whole numbers of 0 or more"
    elif total != size[0] * size[1]:
        yield (
            f"{where}: its RLE has {total} pixels, but its image has {size[0] * size[1]}: encode "
            "it again"
        )


def _compressed_length(counts: str) -> int | None:
    """Pixels of COCO's compressed RLE; None if it cannot be read."""
    try:
        runs = runs_of(counts)
    except ValueError:
        return None
    return None if any(run < 0 for run in runs) else sum(runs)


def is_whole(value: object) -> bool:
    """Whether a value of JSON is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= _LARGEST  # type: ignore[arg-type]  # a number; NaN is not


def is_box(box: Any) -> bool:
    """Whether a value is a box: x, y, width and height, the latter 0 or more."""
    return (
        isinstance(box, list) and len(box) == 4 and all(_number(one) for one in box)
        and box[2] >= 0 and box[3] >= 0
    )  # fmt: skip
