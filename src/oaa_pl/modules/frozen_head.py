"""The segmenter whose batches hold features of a frozen trunk instead of images.

Shapes: B images, F channels of h x w cells, C foreground classes.
"""

from torch import Tensor
from typing_extensions import override

from oaa_pl.modules.segmenter import Segmenter

__all__ = ["FrozenHeadSegmenter"]


class FrozenHeadSegmenter(Segmenter):
    """Per-pixel classification by the head alone.

    A batch's `image` holds what the trunk makes of the photo; see `data.features`. The network as a
    whole, `net`, still maps images to logits.
    """

    @override
    def forward(self, image: Tensor) -> Tensor:
        """Logits, (B, C + 1, h, w).

        Args:
            image: features, (B, F, h, w).
        """
        logits: Tensor = self.net.get_submodule("head")(image)
        return logits
