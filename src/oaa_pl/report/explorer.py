"""What the page's explorer knows: photos with their layers, scores and epochs, as plain JSON.

`explorer.js` reads it. Every text stays text there: ids, class names and titles are set as
`textContent`, never as HTML.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oaa_pl.proxy.palette import voc_palette
from oaa_pl.report.methods import methods
from oaa_pl.report.paper import title_of

__all__ = ["LAYERS", "ExploredPhoto", "explorer_data", "method_key"]

LAYERS = ("map", "proxy", "prediction")
"""Layers that a method has. The photo and its truth belong to no method."""

_BESIDE = "beside/"  # before the methods of the second run


@dataclass(frozen=True, slots=True)
class ExploredPhoto:
    """One photo of the explorer. Every picture is a `data:` address: see `layers`.

    Attributes:
        image_id: any text.
        split: `train`, `val`, ...
        tags: class names.
        size: (H, W) of the photo, in pixels.
        photo: the photo.
        layers: one of `LAYERS` -> method -> picture; what was not made is left out.
        truth: the true mask, or None.
        epochs: of each run (epoch, cumulative map after it), ascending; empty for a photo that the
            run's training did not watch.
        scores: one of `LAYERS` -> method -> mIoU of this photo, in percent or NaN.

    Where there are two runs, a method is named by `method_key`.
    """

    image_id: str
    split: str
    tags: Sequence[str]
    size: tuple[int, int]
    photo: str
    layers: Mapping[str, Mapping[str, str]]
    truth: str | None = None
    epochs: Sequence[Sequence[tuple[int, str]]] = ()
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def method_key(method: str, run: int) -> str:
    """What names a method of one of two runs.

    Args:
        method: its name.
        run: 0 for the page's own run, 1 for the one beside it.

    Examples:
        >>> method_key("cam", 0), method_key("cam", 1)
        ('cam', 'beside/cam')
    """
    return _BESIDE * run + method


def explorer_data(
    photos: Sequence[ExploredPhoto],
    classes: Sequence[str],
    sizes: Mapping[str, int],
    runs: Sequence[str] = (),
) -> dict[str, Any] | None:
    """Everything that the explorer shows, ready for JSON.

    Args:
        photos: in the order of the data set.
        classes: foreground class names in the order of their ids.
        sizes: split -> number of images, of which `photos` may be a part.
        runs: names of the two runs; empty if there is one.

    Returns:
        Numbers, text, lists and mappings without NaN; None without photos or without a method.
    """
    present = {name for one in photos for by in one.layers.values() for name in by}
    if not present:
        return None
    own = [name for name in present if not name.startswith(_BESIDE)]
    beside = [name.removeprefix(_BESIDE) for name in present - {*own}]
    palette = voc_palette()
    return {
        "methods": [
            {"name": method_key(name, run), "title": _title(name, runs[run : run + 1]), "run": run}
            for run, names in enumerate((own, beside))
            for name in _ordered(names)
        ],
        "runs": list(runs),
        "classes": [
            {"name": name, "colour": "#{:02x}{:02x}{:02x}".format(*palette[place + 1])}
            for place, name in enumerate(classes)
        ],
        "sizes": dict(sizes),
        "photos": [_photo(one) for one in photos],
    }


def _ordered(names: Sequence[str]) -> list[str]:
    known = [name for name in methods() if name in names]
    return known + sorted({*names} - {*known})


def _title(method: str, run: Sequence[str]) -> str:
    return " · ".join((title_of(method), *run))


def _photo(one: ExploredPhoto) -> dict[str, Any]:
    return {
        "id": one.image_id,
        "split": one.split,
        "tags": list(one.tags),
        "height": one.size[0],
        "width": one.size[1],
        "photo": one.photo,
        "layers": {layer: dict(by) for layer, by in one.layers.items()},
        "truth": one.truth,
        "epochs": [[[epoch, picture] for epoch, picture in frames] for frames in one.epochs],
        "scores": {
            layer: {name: round(value, 1) for name, value in by.items() if not math.isnan(value)}
            for layer, by in one.scores.items()
        },
    }
