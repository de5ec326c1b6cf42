"""A segmenter to export: photos to masks, confidence and probabilities.

Scales, flips and the CRF stay outside: a caller runs the graph once for each view with one size of
the masks, and averages the probabilities.

Shapes: B photos; h x w pixels of the network's input; H x W pixels of a photo; C classes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oaa_pl.nets.inference import SegmentPhoto
from oaa_pl.prediction.export.exportable import Arrays, Exportable, Trained, fixed_side
from oaa_pl.prediction.export.graph import SegmenterGraph

__all__ = ["segmenter"]

_OUTPUTS = ("mask", "confidence", "probabilities")


def segmenter(trained: Trained) -> Exportable:
    """A segmenter as it sees photos at scale 1, without flip and CRF.

    Raises:
        ConfigError: if a recorded value of `evaluate` is out of range.
    """
    views, multiple = trained.configured.views, trained.facts["multiple"]
    once = {"size": views["size"], "keep_shape": views["keep_shape"], "tile": None}
    segment = SegmentPhoto(
        trained.net, trained.network.mean, trained.network.std, multiple=multiple, **once
    )

    def inputs(photos: Sequence[NDArray[np.uint8]]) -> Arrays:
        image = np.stack([segment.resized(photo) for photo in photos])
        return {"image": image, "size": np.array(photos[0].shape[:2], np.int64)}

    def expected(photo: NDArray[np.uint8]) -> Arrays:
        [seen] = segment.see([photo])
        mask, confidence = seen.labelled()
        found = (mask, confidence, seen.probabilities().numpy())
        return dict(zip(_OUTPUTS, found, strict=True))

    facts = trained.facts | {
        "size": views["size"],
        "keep_shape": views["keep_shape"],
        "resize": (
            "(h, w) = (size, size); with keep_shape, size is the long side and the shape is kept; "
            "without a size, the photo's own. Round each to a multiple of `multiple`, at least "
            "one. cv2.INTER_AREA if h or w is smaller than the photo's, else cv2.INTER_LINEAR"
        ),
        "outputs": {
            "mask": "ids 0..C, 0 background, c + 1 class c, uint8, (B, H, W)",
            "confidence": "probability of each pixel's id, float32, (B, H, W)",
            "probabilities": "of each id, float32, (B, C + 1, H, W)",
        },
        "size_input": "(H, W) of the masks, the photo's own, int64, (2,)",
        # For these a caller runs the graph several times with one `size_input`.
        "not_in_graph": {
            "scales": list(views["scales"]),
            "flip": views["flip"],
            "crf": trained.configured.recipe("crf").name,
        },
    }
    graph = SegmenterGraph(trained.net, trained.network.mean, trained.network.std).eval()
    return Exportable(
        trained.kind, graph, _OUTPUTS, multiple, fixed_side(trained.net), facts, inputs, expected
    )
