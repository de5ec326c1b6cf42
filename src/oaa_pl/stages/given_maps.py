"""Score maps or label maps that other code made: no run is needed.

A folder has maps (`<id>_<class>.png`, `<id>.npz`, `<id>.npy`: see `store.exchange`) or label maps
(`<id>.png`, class ids as in the masks), of every image of a split. Maps are scored against masks,
against boxes, or against both; label maps against masks.

Shapes: K maps of h x w cells; H x W pixels; C foreground classes.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError, MissingInputError, StoreError, first_few
from oaa_pl.metrics import (
    BoundaryScore,
    BoxAccuracy,
    Curve,
    HeldOutThreshold,
    PixelAveragePrecision,
    SegmentationScore,
    activation,
)
from oaa_pl.parallel.fan_out import FanOut
from oaa_pl.stages.counters import LabelCounter, MapCounter
from oaa_pl.stages.counting import counted
from oaa_pl.store.map_files import require_number

__all__ = ["GivenScores", "has_any", "score_given"]

log = logging.getLogger(__name__)


@dataclass
class GivenScores:
    """Scores of a folder of maps or label maps.

    Attributes:
        kind: "maps" or "labels".
        values: score to value; percentages, except thresholds and the ratios `m_fp` and `m_fn`.
        confusion: pixels by (truth, prediction), (C + 1, C + 1) int64; None without masks.
        curve: of maps, scores at every threshold; None for label maps, and without masks.
    """

    kind: str
    values: dict[str, float] = field(default_factory=dict)
    confusion: Tensor | None = None
    curve: Curve | None = None


def has_any(folder: Path, source: Source) -> bool:
    """Whether a folder has a map or a label map of any image of a split."""
    return bool(_with_maps(folder, source) or _with_labels(folder, source))


def score_given(
    folder: Path, source: Source, threshold: float, fan_out: FanOut | None = None
) -> GivenScores:
    """Score the maps or label maps of a folder.

    Args:
        folder: has a map or a label map of every image.
        source: the split, with true masks, or with boxes for maps.
        threshold: attention below it is background in scores at a fixed threshold, in [0, 1].
        fan_out: where the images are counted; None: in this process.

    Raises:
        MissingInputError: if an image has neither a map nor a label map, or the split has nothing
            to compare with.
        ConfigError: if the folder has both kinds.
        StoreError: if a file is not a map, or is of an unknown class.
        BadMaskError: if a label map or a mask has unknown ids or another size, or no mask shows
            any class.
    """
    maps, labels = _with_maps(folder, source), _with_labels(folder, source)
    if maps and labels:
        raise ConfigError(
            f"{folder} has maps (of {first_few(sorted(maps), 2)}) and label maps (of "
            f"{first_few(sorted(labels), 2)}): put each kind into a folder of its own"
        )
    missing = [name for name in source.ids if name not in maps and name not in labels]
    if missing:
        raise MissingInputError(
            f"{folder} has no map and no label map of {len(missing)} of the {len(source.ids)} "
            f"images of {source.name}/{source.split} ({first_few(missing, 3)}): the scores of the "
            "others would not be those of the split; add them, or take them off its list"
        )
    if not source.has_masks and (labels or not getattr(source, "has_boxes", False)):
        raise MissingInputError(
            f"{source.name}/{source.split} has no true masks"
            f"{'' if labels else ' and no boxes'} to compare {folder} with: give them"
        )
    counter = LabelCounter(folder, source) if labels else MapCounter(folder, source, threshold)
    counts = counted(
        counter, len(source.ids), f"evaluate {folder.name}", fan_out or FanOut(workers=1)
    )
    return (_labels if labels else _maps)(folder, source, *counts)


def _labels(
    folder: Path, source: Source, score: SegmentationScore, edges: BoundaryScore
) -> GivenScores:
    if not score.confusion[:, 1:].any():
        log.warning(
            "%s: no label map has a pixel of any class; ids are 1..%d, in the order %s, and 255 is "
            "no label: see the score `coverage`",
            folder, len(source.classes), first_few(source.classes),
        )  # fmt: skip
    return GivenScores("labels", _of_labels(score, edges), score.confusion)


def _of_labels(score: SegmentationScore, edges: BoundaryScore) -> dict[str, float]:
    found = {name: 100 * float(value) for name, value in score.compute().items()}
    found["boundary_iou"] = 100 * float(edges.compute()["boundary_iou"])
    m_fp, m_fn = activation(score.confusion)
    return {**found, "m_fp": float(m_fp), "m_fn": float(m_fn)}


def _maps(
    folder: Path,
    source: Source,
    held: HeldOutThreshold,
    fixed: SegmentationScore,
    edges: BoundaryScore,
    pixels: PixelAveragePrecision,
    boxes: BoxAccuracy,
    unlike: list[int],
) -> GivenScores:
    if unlike:
        log.warning(
            "%s: the maps of %d of %d images are of other classes than the image's tags; classes "
            "count from 0, in the order %s",
            folder, len(unlike), len(source.ids), first_few(source.classes),
        )  # fmt: skip
    scores = GivenScores("maps")
    if source.has_masks:
        curve = held.curve()
        best = curve.best
        scores.values = _of_labels(fixed, edges) | {
            "miou_best": float("nan") if best is None else 100 * float(curve.miou[best]),
            "best_threshold": float("nan") if best is None else float(curve.thresholds[best]),
            "miou_held_out": 100 * held.miou(),
            "pxap": 100 * float(pixels.compute()),
        }
        del scores.values["coverage"]  # maps never abstain
        scores.confusion, scores.curve = fixed.confusion, curve
    if boxes.maps > 0:
        known = boxes.compute()
        del known["top1_loc"]  # maps alone do not tell the classifier's first guess
        scores.values |= {name: 100 * float(value) for name, value in known.items()}
    return scores


def _with_labels(folder: Path, source: Source) -> set[str]:
    return {name for name in source.ids if (folder / f"{name}.png").is_file()}


def _with_maps(folder: Path, source: Source) -> set[str]:
    """Images with a map; refuses a PNG of a class that there is not."""
    known = set(source.ids)
    found = {
        name
        for name in known
        if any((folder / f"{name}{suffix}").is_file() for suffix in (".npz", ".npy"))
    }
    for path in folder.glob("*_*.png"):
        name, _, number = path.stem.rpartition("_")
        if path.stem in known or name not in known or not number.isdecimal():
            continue
        require_number(path, number)
        if int(number) >= len(source.classes):
            raise StoreError(
                f"{path} is of the unknown class {number}, expected 0..{len(source.classes) - 1}; "
                "classes count from 0, without the background"
            )
        found.add(name)
    return found
