"""What the page's charts share: their look, the drawing of a chart, and the line to hover.

Colours are the page's CSS variables, so that charts follow light, dark and print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import vl_convert
from markupsafe import Markup

__all__ = ["COMMON", "Chart", "Spec", "Values", "drawn", "hover_line", "values_of"]

Spec = dict[str, Any]
"""A chart in Vega-Lite, or a part of one."""

_AXIS = {
    "labelColor": "var(--soft)", "titleColor": "var(--soft)", "gridColor": "var(--rule)",
    "domainColor": "var(--strong)", "tickColor": "var(--strong)", "titleFontWeight": "normal",
    "labelFontSize": 12, "titleFontSize": 13, "titlePadding": 10, "labelOverlap": True,
    "labelSeparation": 6, "labelFlush": False,
}  # fmt: skip
_LEGEND = {"labelColor": "var(--ink)", "titleColor": "var(--soft)", "labelFontSize": 13}
COMMON: Spec = {
    "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
    "background": None,
    "config": {
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": _AXIS,
        "legend": {**_LEGEND, "orient": "top", "title": None, "labelLimit": 300},
    },
}


class Values(NamedTuple):
    """The numbers of a chart as a table, for readers without a pointer.

    Attributes:
        names: of the columns, M + 1 of them.
        rows: each a place along the chart and M numbers as text, a dash where one is missing.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart in its forms.

    Attributes:
        spec: Vega-Lite with its data, for the page's script.
        svg: the same, drawn, for a page without scripts.
        values: its numbers; None where the page has them in a table of its own.
    """

    spec: Spec
    svg: Markup
    values: Values | None


def drawn(still: Spec, hoverable: Spec, values: Values | None = None) -> Chart:
    """Draw a chart.

    Args:
        still: what is drawn for a page without scripts.
        hoverable: the same, and what reacts to the pointer.
        values: its numbers.
    """
    svg = vl_convert.vegalite_to_svg(still, allowed_base_urls=[])  # no network
    return Chart(hoverable, Markup(svg), values)


def values_of(
    points: Sequence[Spec], by: str, across: tuple[str, str], titles: Mapping[str, str]
) -> Values:
    """The points of lines as a table.

    Args:
        points: `t` across, `v` up, the name of the line, and `high`, a deviation above `v`, if any.
        by: field of that name.
        across: title of `t` and its number format.
        titles: name of each line -> its title.

    Examples:
        >>> points = [{"t": 0.1, "v": 5.0, "m": "cam"}, {"t": 0.2, "v": 9.04, "m": "cam"}]
        >>> values_of(points, "m", ("threshold", ".2f"), {"cam": "CAM"}).rows
        [('0.10', '5.0'), ('0.20', '9.0')]
    """
    found = {(point["t"], point[by]): _number(point) for point in points}
    rows = [
        (format(place, across[1]), *(found.get((place, name), "–") for name in titles))
        for place in sorted({place for place, _ in found})
    ]
    return Values((across[0], *titles.values()), rows)


def _number(point: Spec) -> str:
    deviation = point.get("high", point["v"]) - point["v"]
    return f"{point['v']:.1f}" + (f" ± {deviation:.1f}" if deviation else "")


def hover_line(
    points: Sequence[Spec], by: str, across: tuple[str, str], titles: Mapping[str, str]
) -> Spec:
    """A vertical line at the nearest place, with the value of every line there as a tooltip.

    Args:
        points: `t` across, `v` up, and the name of the line.
        by: field of that name.
        across: title of `t` and its number format.
        titles: name of each line -> its title.
    """
    order = list(titles)
    wide: dict[float, Spec] = {}
    for point in points:
        row = wide.setdefault(point["t"], {"t": point["t"]})
        row[f"v{order.index(point[by])}"] = point["v"]
    rows = [("t", *across)]
    rows += [(f"v{place}", title, ".1f") for place, title in enumerate(titles.values())]
    select = {"type": "point", "fields": ["t"], "nearest": True, "on": "pointerover"}
    return {
        "data": {"values": list(wide.values())},
        "params": [{"name": "hover", "select": {**select, "clear": "pointerout"}}],
        "mark": {"type": "rule", "color": "var(--soft)", "strokeWidth": 1},
        "encoding": {
            "opacity": {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 0},
            "tooltip": [
                {"field": name, "title": title, "type": "quantitative", "format": form}
                for name, title, form in rows
            ],
        },
    }
