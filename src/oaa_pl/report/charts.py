"""The page's charts as Vega-Lite: drawn once as SVG, and again by the page's script for hovering.

Data fields have fixed names, never those of classes or methods: Vega-Lite reads dots and brackets
in a field as a path.
"""

import math
from collections.abc import Mapping, Sequence

from oaa_pl.report.class_table import ClassTable
from oaa_pl.report.curves import IouCurve, Peak
from oaa_pl.report.methods import methods
from oaa_pl.report.paper import title_of
from oaa_pl.report.vega import COMMON, Chart, Spec, drawn, hover_line, values_of

__all__ = ["accepted_chart", "class_chart", "curve_chart"]


def curve_chart(
    curves: Mapping[str, IouCurve], peaks: Sequence[Peak], fixed_threshold: float | None
) -> Chart | None:
    """Mean IoU against the threshold: a line for each method, its deviation and its peak.

    Args:
        curves: method -> curve.
        peaks: of the curves that have a value.
        fixed_threshold: marked by a vertical line, if the curves reach it.

    Returns:
        The chart; None if no curve has a value.
    """
    if not peaks:
        return None
    order = [peak.method for peak in peaks]
    points: list[Spec] = [
        {"t": t, "v": v, "low": max(0.0, v - d), "high": v + d, "m": method}
        for method in order
        for t, v, d in curves[method].points()
    ]
    deviating = [point for point in points if point["high"] > point["low"]]
    threshold: Spec = {"field": "t", "type": "quantitative", "title": "threshold on the attention"}
    threshold["axis"] = {"tickCount": 10}
    miou = {"type": "quantitative", "title": "mIoU, %", "scale": {"zero": False}}
    colour = {**_colour(order), "legend": None}
    band = {
        "data": {"values": deviating},
        "mark": {"type": "area", "opacity": 0.13},
        "encoding": {"y": {**miou, "field": "low"}, "y2": {"field": "high"}, "color": colour},
    }
    layers: list[Spec] = [
        *([band] if deviating else []),
        {
            "mark": {"type": "line", "strokeWidth": 2.2},
            "encoding": {"y": {**miou, "field": "v"}, "color": colour, "strokeDash": _dash(order)},
        },
        {
            "data": {"values": [{"t": p.threshold, "v": p.miou, "m": p.method} for p in peaks]},
            "mark": {"type": "point", "filled": False, "size": 70, "strokeWidth": 2},
            "encoding": {"y": {**miou, "field": "v"}, "color": colour},
        },
    ]
    least, most = min(p["t"] for p in points), max(p["t"] for p in points)
    if fixed_threshold is not None and least <= fixed_threshold <= most:
        mark = {"type": "rule", "strokeDash": [3, 4], "color": "var(--faint)"}
        layers.append({"data": {"values": [{"t": fixed_threshold}]}, "mark": mark})
    spec = {
        **COMMON,
        "description": "Mean IoU of the attention maps against the threshold",
        "width": 700,
        "height": 340,
        "data": {"values": points},
        "encoding": {"x": threshold},
    }
    lines = ("m", ("threshold", ".2f"), {name: title_of(name) for name in order})
    hoverable = {**spec, "layer": [*layers, hover_line(points, *lines)]}
    return drawn({**spec, "layer": layers}, hoverable, values_of(points, *lines))


def class_chart(table: ClassTable) -> Chart | None:
    """IoU of each class: a bar for each method.

    Args:
        table: scores of each class.

    Returns:
        The chart; None if no class has a score.
    """
    bars = [
        {"c": name, "m": method, "title": title_of(method), "v": value}
        for name, values in table.iou
        for method, value in zip(table.methods, values, strict=True)
        if not math.isnan(value)
    ]
    if not bars:
        return None
    titles = [title_of(one) for one in table.methods]
    colour = {
        "field": "title",
        "scale": {"domain": titles, "range": [_ink(one) for one in table.methods]},
    }
    classes = {"field": "c", "sort": None, "title": None, "axis": {"labelAngle": -40}}
    spec = {
        **COMMON,
        "description": f"IoU of each class, {table.stage}",
        # Bars of 8 pixels and a gap between the classes: the page scrolls a wide chart.
        "width": max(560, len(table.iou) * (8 * len(titles) + 12)),
        "height": 260,
        "data": {"values": bars},
        "mark": {"type": "bar"},
        "encoding": {
            "x": classes,
            "xOffset": {"field": "title", "sort": titles},
            "y": {"field": "v", "type": "quantitative", "title": "IoU, %"},
            "color": colour,
            "tooltip": [
                {"field": "c", "title": "class"},
                {"field": "title", "title": "method"},
                {"field": "v", "title": "IoU, %", "type": "quantitative", "format": ".1f"},
            ],
        },
    }
    return drawn(spec, spec)


def accepted_chart(accepted: Mapping[int, Sequence[float]]) -> Chart | None:
    """The share of maps that the gate accepted in each epoch: a line for each seed.

    Args:
        accepted: seed -> share of each epoch in [0, 1].

    Returns:
        The chart; None without a value.
    """
    points: list[Spec] = [
        {"t": epoch, "v": 100 * share, "s": f"seed {seed}"}
        for seed, shares in accepted.items()
        for epoch, share in enumerate(shares, 1)
        if not math.isnan(share)
    ]
    if not points:
        return None
    names = list(dict.fromkeys(point["s"] for point in points))
    once = len(points) == len(names)
    inks = ["var(--blue)", "var(--orange)", "var(--violet)", "var(--green)"]
    scale = {"domain": names, "range": [inks[place % 4] for place in range(len(names))]}
    line = {
        "mark": {"type": "line", "strokeWidth": 2, "point": once},
        "encoding": {
            "y": {"field": "v", "type": "quantitative", "title": "accepted maps, %"},
            "color": {"field": "s", "scale": scale, "legend": {} if len(names) > 1 else None},
        },
    }
    spec = {
        **COMMON,
        "description": "Share of the maps that the gate accepted in each epoch",
        "width": 700,
        "height": 200,
        "data": {"values": points},
        "encoding": {
            "x": {
                "field": "t",
                "type": "quantitative",
                "title": "epoch",
                "axis": {"tickMinStep": 1, "tickCount": 12},
                "scale": {"zero": False, "nice": False},
            },
        },
    }
    lines = ("s", ("epoch", "d"), {name: f"{name}, %" for name in names})
    hoverable = {**spec, "layer": [line, hover_line(points, *lines)]}
    return drawn({**spec, "layer": [line]}, hoverable, values_of(points, *lines))


def _colour(names: Sequence[str]) -> Spec:
    scale = {"domain": list(names), "range": [_ink(name) for name in names]}
    return {"field": "m", "type": "nominal", "scale": scale}


def _dash(names: Sequence[str]) -> Spec:
    known = methods()
    dashes = [known[name].dash if name in known else None for name in names]
    dashed = [[float(one) for one in dash.split()] if dash else [1, 0] for dash in dashes]
    scale = {"domain": list(names), "range": dashed}
    return {"field": "m", "type": "nominal", "scale": scale, "legend": None}


def _ink(method: str) -> str:
    known = methods().get(method)
    return f"var(--method-{method})" if known is not None and known.light else "var(--soft)"
