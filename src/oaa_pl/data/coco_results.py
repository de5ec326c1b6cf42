"""Label maps as results in COCO's format: one run-length encoding for each class of an image.

Source: Lin et al., Microsoft COCO, ECCV 2014, and its page on the format of results.

Shapes: H x W pixels, C foreground classes. Ids: 0 background, c + 1 for class c, 255 ignored.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import BadMaskError
from oaa_pl.files.rle import encode
from oaa_pl.ids import IGNORED

__all__ = ["coco_results"]


def coco_results(
    label: NDArray[np.uint8],
    image: int,
    categories: Sequence[int],
    scores: Sequence[float] | None = None,
) -> list[dict[str, Any]]:
    """The results of one image, ready for JSON and for `COCO.loadRes`.

    Args:
        label: ids 0..C or 255, (H, W); the background and ignored pixels give no result.
        image: its id in the annotation file.
        categories: id of each class in the annotation file, C.
        scores: confidence of each class, C; None: 1.

    Returns:
        `image_id`, `category_id`, `segmentation` and `score` of each class that is shown.

    Raises:
        BadMaskError: if the label map has an unknown id.
    """
    present = [int(one) for one in np.unique(label) if one not in (0, IGNORED)]
    if present and present[-1] > len(categories):
        raise BadMaskError(
            f"label map has the id {present[-1]}, expected 0..{len(categories)} or {IGNORED}: give "
            "the category of every class"
        )
    return [
        {
            "image_id": image,
            "category_id": int(categories[one - 1]),
            "segmentation": encode(label == one),
            "score": 1.0 if scores is None else float(scores[one - 1]),
        }
        for one in present
    ]
