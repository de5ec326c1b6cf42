"""Make proxy labels, image by image: read maps and background cue, write PNGs.

Kept free of torch imports: `LabelMaker` is pickled into worker processes, and all of them map the
same store.

Shapes: H x W pixels of a photo; K present classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import BadMaskError, MissingMaskError
from oaa_pl.ids import IGNORED
from oaa_pl.proxy.palette import load_label, save_label
from oaa_pl.proxy.resize import each_to_photo
from oaa_pl.proxy.rule import Labels, ProxyRule, make_labels

__all__ = ["LabelMaker", "MadeLabel", "Refinement"]


Refinement = Callable[[str, NDArray[np.uint8], NDArray[np.float32]], NDArray[np.float32]]


class _Maps(Protocol):
    @property
    def categories(self) -> NDArray[np.int64]: ...

    @property
    def attention(self) -> NDArray[np.float32]: ...


class MadeLabel(NamedTuple):
    """Facts about one proxy label.

    Attributes:
        image_id: of the photo.
        foreground: share of pixels with a class, in [0, 1].
        ignored: share of ignored pixels, in [0, 1]; 1 for a whole ignored image.
    """

    image_id: str
    foreground: float
    ignored: float


@dataclass(frozen=True)
class LabelMaker:
    """Makes the proxy labels of one image, by its index.

    Args:
        ids: image ids, N.
        photo: index to RGB photo, (H, W, 3) uint8.
        maps: index to the image's categories (K,) and attention (K, h, w).
        cue: (image id, photo) to saliency, (H, W) in [0, 1].
        rule: thresholds of the proxy label.
        folder: gets `proxy/<id>.png` and `hard/<id>.png`.
        crf: (photo, evidence (K + 1, H, W)) to refined evidence; None: no CRF.
        refine: (image id, photo, evidence) to refined evidence, before the CRF; None: unrefined.
    """

    ids: tuple[str, ...]
    photo: Callable[[int], NDArray[np.uint8]]
    maps: Callable[[int], _Maps]
    cue: Callable[[str, NDArray[np.uint8]], NDArray[np.float32]]
    rule: ProxyRule
    folder: Path
    crf: Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.float32]] | None = None
    refine: Refinement | None = None

    def __call__(self, index: int) -> MadeLabel:
        """Write both label maps of one image, unless both exist.

        Raises:
            MissingInputError: if the image has no saliency or no proposals.
            BadMaskError: if those do not have the photo's size.
            OutputError: if a file cannot be written.
        """
        image_id = self.ids[index]
        paths = [self.folder / name / f"{image_id}.png" for name in ("proxy", "hard")]
        try:
            proxy, _ = map(load_label, paths)
        except (MissingMaskError, BadMaskError):
            proxy, hard = self._make(index)
            save_label(paths[0], proxy)
            save_label(paths[1], hard)
        ignored = proxy == IGNORED
        found = (proxy != 0) & ~ignored
        return MadeLabel(image_id, float(found.mean()), float(ignored.mean()))

    def _make(self, index: int) -> Labels:
        photo = self.photo(index)
        maps = self.maps(index)
        attention = each_to_photo(maps.attention, (photo.shape[0], photo.shape[1]))
        saliency = self.cue(self.ids[index], photo)
        refine = partial(self._refined, self.ids[index], photo) if self.crf or self.refine else None
        return make_labels(attention, maps.categories, saliency, self.rule, refine)

    def _refined(
        self, image_id: str, photo: NDArray[np.uint8], evidence: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        if self.refine:
            evidence = self.refine(image_id, photo, evidence)
        return self.crf(photo, evidence) if self.crf else evidence
