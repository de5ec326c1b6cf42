"""Draw masks of COCO's objects by pycocotools, the extra `coco`.

Shapes: H x W pixels of a photo.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.coco_json import CocoObject
from oaa_pl.errors import ConfigError
from oaa_pl.ids import IGNORED

__all__ = ["draw_mask", "mask_coder"]


def draw_mask(objects: Sequence[CocoObject], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The mask of an image: crowds first, then objects from the largest to the smallest.

    Args:
        objects: of the image.
        size: (H, W) in pixels.

    Returns:
        0 background, c + 1 class c, 255 ignored, (H, W).
    """
    coder = mask_coder()
    mask = np.zeros(size, np.uint8)
    drawn = [(one, _encoded(coder, one.shape, size)) for one in objects if one.shape]
    for one, code in drawn:
        if one.crowd:
            mask[coder.decode(code) > 0] = IGNORED
    single = [(int(coder.area(code)), one, code) for one, code in drawn if not one.crowd]
    for _, one, code in sorted(single, key=lambda found: -found[0]):
        mask[coder.decode(code) > 0] = one.category + 1
    return mask


def _encoded(coder: Any, shape: Any, size: tuple[int, int]) -> Any:
    """Polygons or any run-length encoding as pycocotools' own encoding."""
    if isinstance(shape, list):
        return coder.merge(coder.frPyObjects(shape, *size))
    if isinstance(shape["counts"], list):
        return coder.frPyObjects(shape, *size)
    return shape


def mask_coder() -> Any:
    """The module of pycocotools that draws and encodes masks.

    Raises:
        ConfigError: if it is not installed.
    """
    if importlib.util.find_spec("pycocotools") is None:
        raise ConfigError("data=coco needs pycocotools: pip install 'oaa_pl[coco]'")
    return importlib.import_module("pycocotools.mask")
