"""What the page's charts share: their look, the drawing of a chart, and the line to hover.

Colours are the page's CSS variables, so that charts follow light, dark and print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import vl_convert
from markupsafe import Markup

__all__ = ["COMMON", "Chart", "Spec", "drawn", "hover_line"]

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


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart in both forms.

    Attributes:
        spec: Vega-Lite with its data, for the page's script.
        svg: the same, drawn, for a page without scripts.
    """

    spec: Spec
    svg: Markup


def drawn(still: Spec, hoverable: Spec) -> Chart:
    """Draw a chart.

    Args:
        still: what is drawn for a page without scripts.
        hoverable: the same, and what reacts to the pointer.
    """
    svg = vl_convert.vegalite_to_svg(still, allowed_base_urls=[])  # no network
    return Chart(hoverable, Markup(svg))


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
