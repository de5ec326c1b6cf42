"""The paper's own numbers, to stand beside ours.

Source: Jiang et al., ICCV 2019, section 4, Tables 1 to 3; mean IoU in percent on PASCAL VOC 2012.
All of them score the *segmentation* network trained on a method's proxy labels.
"""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from oaa_pl.report.methods import Method, methods

__all__ = [
    "EFFECTS",
    "TABLE_1",
    "TABLE_3",
    "Effect",
    "ProportionRow",
    "StateOfTheArtRow",
    "effects_among",
    "paper_number",
    "title_of",
]

_WORDS = {"crf": "CRF"}


def title_of(method: str) -> str:
    """A method's name in tables.

    Args:
        method: as in the results, perhaps with what its segmenter differs in behind it:
            "oaa_max-resnet101-crf", "oaa_plus_hybrid-20pc".

    Returns:
        Its name, or the method itself where it has none.

    Examples:
        >>> title_of("oaa_max-resnet101-20pc-crf")
        'OAA, maximum (resnet101, 20 %, CRF)'
    """
    name, *variant = method.split("-")
    known = methods()
    title = known[name].title if name in known else name
    told = ", ".join(re.sub(r"(?<=\d)pc$", " %", _WORDS.get(part, part)) for part in variant)
    return f"{title} ({told})" if told else title


@dataclass(frozen=True, slots=True)
class StateOfTheArtRow:
    """A row of Table 1: backbone, method, mean IoU on val and on test in percent."""

    backbone: str
    method: str
    val: float
    test: float


@dataclass(frozen=True, slots=True)
class ProportionRow:
    """A row of Table 3: share of the training images in percent, their number, mean IoU on val."""

    percent: int
    images: int
    val: float


TABLE_1 = (
    StateOfTheArtRow("VGG-16", "OAA", 61.6, 61.9),
    StateOfTheArtRow("VGG-16", "OAA+", 63.1, 62.8),
    StateOfTheArtRow("ResNet-101", "OAA", 63.9, 65.6),
    StateOfTheArtRow("ResNet-101", "OAA+", 65.2, 66.4),
)
"""Table 1, the paper's own rows."""

TABLE_3 = (
    ProportionRow(20, 2116, 54.6),
    ProportionRow(50, 5291, 57.3),
    ProportionRow(80, 8466, 58.9),
    ProportionRow(100, 10582, 59.6),
)
"""Table 3, val: OAA+ with a share of the training images."""


_NAMES = {"OAA": "oaa_max", "OAA+": "oaa_plus_hybrid", "VGG-16": "", "ResNet-101": "-resnet101"}
_VARIANTS = {
    **{f"{_NAMES[row.method]}{_NAMES[row.backbone]}-crf": row.val for row in TABLE_1},
    **{f"oaa_plus_hybrid-{row.percent}pc": row.val for row in TABLE_3},
}


def paper_number(method: str) -> float | None:
    """The paper's segmentation mIoU on VOC val that a method's name stands for.

    Args:
        method: as in the results: of Table 2, or with its variant, of Tables 1 and 3.

    Returns:
        Per cent; None if the paper has none.

    Examples:
        >>> paper_number("oaa_max"), paper_number("oaa_max-resnet101-crf"), paper_number("tags")
        (58.6, 63.9, None)
    """
    known = methods()
    return known[method].paper if method in known else _VARIANTS.get(method)


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference that the paper reports between two methods of Table 2.

    Attributes:
        title: the difference in words.
        better: method that gains.
        baseline: method that it is compared with.
    """

    title: str
    better: str
    baseline: str

    @property
    def points(self) -> float:
        """The paper's difference, in percentage points of mean IoU."""
        # Rounded, since Table 2 has one decimal and 58.6 - 53.9 is 4.700000000000003.
        known = methods()
        better = known[known[self.better].replaces or self.better].paper or math.nan
        return round(better - (known[self.baseline].paper or math.nan), 1)


EFFECTS = (
    Effect("OAA maximum − CAM", "oaa_max", "cam"),
    Effect("OAA mean − CAM", "oaa_mean", "cam"),
    Effect("OAA maximum − OAA mean", "oaa_max", "oaa_mean"),
    Effect("OAA+ hybrid − OAA maximum", "oaa_plus_hybrid", "oaa_max"),
    Effect("OAA+ hybrid − OAA+ cross-entropy", "oaa_plus_hybrid", "oaa_plus_mce"),
)
"""The claims of section 4.3 as differences of Table 2: targets that carry over to other data."""


def effects_among(measured: Collection[str]) -> tuple[Effect, ...]:
    """The paper's effects on the methods of a run.

    Args:
        measured: the run's methods.

    Returns:
        All five. A method that replaces another, which was not measured, has its place: the
        releases' pooled loss that of the hybrid loss.
    """
    instead = {
        one.replaces: one
        for one in methods().values()
        if one.replaces and one.name in measured and one.replaces not in measured
    }
    return tuple(_about(effect, instead.get(effect.better)) for effect in EFFECTS)


def _about(effect: Effect, method: Method | None) -> Effect:
    if method is None:
        return effect
    baseline = effect.title.partition(" − ")[2]
    return replace(effect, title=f"{method.short} − {baseline}", better=method.name)
