"""Proxy labels: one id per pixel, from the attention of the tagged classes and a background cue.

Source: Jiang et al., ICCV 2019, section 4 (background from saliency, arg-max). Thresholds and
ignored regions are from the authors' PyTorch release; the paper gives none.

Shapes: K tagged classes of one image, H x W pixels of the photo. Attention and saliency are in
[0, 1]; a proxy label is (H, W) uint8, 0 background, c + 1 class c, 255 ignored.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import BadMaskError, ConfigError
from oaa_pl.ids import IGNORED

__all__ = ["Labels", "ProxyRule", "make_labels"]

Refine = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Refines evidence of background and classes, (K + 1, H, W), for example a dense CRF."""


@dataclass(frozen=True)
class ProxyRule:
    """Thresholds of a proxy label, each in [0, 1]; the release's are in `conf/proxy/release.yaml`.

    Attributes:
        foreground: attention below this is not evidence of its class.
        conflict: pixels where more than one channel, background included, is above this are
            ignored.
        salient_background: background pixels at least this salient are ignored.
        attended_background: background pixels where some attention is above this are ignored.
        minimum_foreground: an image with a smaller share of foreground is ignored completely.

    Raises:
        ConfigError: if a threshold is not in [0, 1].
    """

    foreground: float
    conflict: float
    salient_background: float
    attended_background: float
    minimum_foreground: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= 1:
                raise ConfigError(f"proxy.{field.name} must be in [0, 1], got {value}")


class Labels(NamedTuple):
    """The two label maps of one image, each (H, W) uint8.

    Attributes:
        proxy: trains the segmenter: 0, c + 1, or 255 where the evidence disagrees.
        hard: plain arg-max without ignored pixels, for `proxy/miou_hard`: 0 or c + 1.
    """

    proxy: NDArray[np.uint8]
    hard: NDArray[np.uint8]


def make_labels(
    attention: Iterable[NDArray[np.floating]],
    categories: NDArray[np.integer],
    saliency: NDArray[np.floating],
    rule: ProxyRule,
    refine: Refine | None = None,
) -> Labels:
    """Arg-max over background and classes, with and without ignoring doubtful pixels.

    Release: the rule for salient background assumes a saliency map that shows objects. With one
    value everywhere (`ConstantCue`), it would ignore the whole background. So it is not applied
    there.

    Maps are processed one after another, so that many classes need no more memory than one. Only
    `refine` needs all maps at once.

    Args:
        attention: of the tagged classes, in [0, 1]: an array (K, H, W), or an iterator of K maps
            (H, W).
        categories: class of each map, 0..C-1, (K,).
        saliency: 1 where an object is, 0 in the background, (H, W).
        rule: the thresholds.
        refine: applied to the evidence before the arg-max, but not to decide what is ignored.

    Returns:
        Both labels.

    Raises:
        BadMaskError: if the sizes of attention, categories and saliency do not agree.
    """
    best = (1 - saliency).astype(np.float32)  # of the background; later of the strongest channel
    evidence = [best.copy()] if refine else []
    hard = np.zeros(saliency.shape, np.uint8)
    strong = (best > rule.conflict).astype(np.uint8)  # number of channels above `conflict`
    attended = np.zeros(saliency.shape, bool)
    for one, category in zip(_of_size(attention, categories, saliency), categories, strict=True):
        kept = np.where(one < rule.foreground, 0, one).astype(np.float32, copy=False)
        hard[kept > best] = category + 1  # on a tie the earlier channel stays, background first
        np.maximum(best, kept, out=best)
        strong += kept > rule.conflict
        attended |= one > rule.attended_background
        if refine:
            evidence.append(kept)
    if refine:
        hard = _winner(refine(np.stack(evidence)), categories)
    proxy = hard.copy()
    # One value everywhere, as from `ConstantCue`, shows no objects.
    if saliency.size and saliency.min() != saliency.max():
        attended |= saliency >= rule.salient_background
    proxy[(strong > 1) | ((hard == 0) & attended)] = IGNORED
    found = np.count_nonzero((proxy != 0) & (proxy != IGNORED))
    if found < rule.minimum_foreground * proxy.size:
        proxy[...] = IGNORED
    return Labels(proxy, hard)


def _of_size(
    attention: Iterable[NDArray[np.floating]],
    categories: NDArray[np.integer],
    saliency: NDArray[np.floating],
) -> Iterator[NDArray[np.floating]]:
    """The maps, each checked for the saliency's size, and their number for the categories'."""
    count = 0
    for count, one in enumerate(attention, 1):
        if one.shape != saliency.shape or count > len(categories):
            raise BadMaskError(
                f"attention must be (categories, H, W) = {(len(categories), *saliency.shape)} to "
                f"go with {len(categories)} categories and the saliency map, got {one.shape} as "
                f"map {count}; resize the maps to the photo first"
            )
        yield one
    if count < len(categories):
        raise BadMaskError(
            f"attention must be (categories, H, W) = {(len(categories), *saliency.shape)}, got "
            f"{count} maps; give one for each category"
        )


def _winner(evidence: NDArray[np.floating], categories: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Id of the strongest channel; on a tie the first one, background before any class."""
    ids = np.concatenate([[0], categories + 1]).astype(np.uint8)
    label: NDArray[np.uint8] = ids[evidence.argmax(axis=0)]
    return label
