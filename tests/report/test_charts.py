import json
import math

import pytest

from oaa_pl.report.charts import accepted_chart, class_chart, curve_chart
from oaa_pl.report.class_table import ClassTable
from oaa_pl.report.curves import IouCurve, peaks_of

HOSTILE = "</svg><script>alert(1)</script>a.b[0]'\"&"


def table(name: str = "boat", method: str = "cam") -> ClassTable:
    iou = (("background", (70.0, 71.0)), (name, (math.nan, 20.5)))
    return ClassTable("segmentations", "val", (), (), "", (), (), (method, "oaa_max"), iou)


def values_of(spec: dict) -> list[dict]:
    return spec["data"]["values"]


def test_a_curve_is_drawn_from_its_points_and_its_peak_is_marked() -> None:
    curves = {"cam": IouCurve([0.1, 0.2, 0.3], [5.0, 9.0, math.nan])}
    chart = curve_chart(curves, peaks_of(curves), 0.2)
    assert chart is not None
    assert [(one["t"], one["v"]) for one in values_of(chart.spec)] == [(0.1, 5.0), (0.2, 9.0)]
    line, peak, rule, hover = chart.spec["layer"]
    assert line["mark"]["type"] == "line"
    assert values_of(peak) == [{"t": 0.2, "v": 9.0, "m": "cam"}]
    assert values_of(rule) == [{"t": 0.2}]
    assert values_of(hover) == [{"t": 0.1, "v0": 5.0}, {"t": 0.2, "v0": 9.0}]
    assert [one["title"] for one in hover["encoding"]["tooltip"]] == ["threshold", "CAM"]
    assert "var(--method-cam)" in chart.svg


def test_several_seeds_have_a_band_that_ends_at_zero() -> None:
    curves = {"cam": IouCurve([0.1, 0.2], [5.0, 9.0], [6.0, 1.0])}
    chart = curve_chart(curves, peaks_of(curves), None)
    assert chart is not None
    band = chart.spec["layer"][0]
    assert band["mark"]["type"] == "area"
    assert [(one["low"], one["high"]) for one in values_of(band)] == [(0.0, 11.0), (8.0, 10.0)]


def test_the_values_of_a_chart_are_a_table() -> None:
    curves = {
        "cam": IouCurve([0.1, 0.2], [5.0, 9.04], [1.0, 0.25]),
        "oaa_max": IouCurve([0.2, 0.3], [7.0, math.nan]),
    }
    chart = curve_chart(curves, peaks_of(curves), None)
    assert chart is not None
    assert chart.values is not None
    assert list(chart.values.names) == ["threshold", "CAM", "OAA, maximum"]
    assert chart.values.rows == [("0.10", "5.0 ± 1.0", "–"), ("0.20", "9.0 ± 0.2", "7.0")]
    accepted = accepted_chart({3: [0.25, math.nan, 0.5], 4: [0.125]})
    assert accepted is not None
    assert accepted.values is not None
    assert accepted.values.rows == [("1", "25.0", "12.5"), ("3", "50.0", "–")]
    bars = class_chart(table())
    assert bars is not None
    assert bars.values is None  # the page has a table of the classes


def test_a_threshold_outside_the_curve_is_not_marked() -> None:
    curves = {"cam": IouCurve([0.5, 0.6], [5.0, 9.0])}
    chart = curve_chart(curves, peaks_of(curves), 0.1)
    assert chart is not None
    assert "rule" not in [layer["mark"]["type"] for layer in chart.spec["layer"][:-1]]


def test_an_undefined_iou_has_no_bar() -> None:
    chart = class_chart(table())
    assert chart is not None
    bars = [(one["c"], one["m"], one["v"]) for one in values_of(chart.spec)]
    assert bars == [
        ("background", "cam", 70.0), ("background", "oaa_max", 71.0), ("boat", "oaa_max", 20.5),
    ]  # fmt: skip


def test_the_accepted_share_has_a_line_for_each_seed() -> None:
    chart = accepted_chart({3: [0.25, 0.5], 4: [0.125]})
    assert chart is not None
    assert values_of(chart.spec["layer"][-1]) == [
        {"t": 1, "v0": 25.0, "v1": 12.5},
        {"t": 2, "v0": 50.0},
    ]


@pytest.mark.parametrize("name", [HOSTILE, "a.b", "x[0]", "\\", ""])
def test_any_name_is_text_in_the_drawing_and_in_the_data(name: str) -> None:
    chart = class_chart(table(name, name))
    curves = {name: IouCurve([0.1, 0.2], [5.0, 9.0])}
    curve = curve_chart(curves, peaks_of(curves), None)
    assert chart is not None
    assert curve is not None
    for one in (chart, curve):
        assert one.svg.startswith("<svg")
        assert "<script" not in one.svg
        assert one.svg.count("</svg>") == 1
        json.dumps(one.spec, allow_nan=False)


def test_without_values_there_is_no_chart() -> None:
    assert curve_chart({}, [], 0.3) is None
    assert accepted_chart({}) is None
    assert accepted_chart({0: [math.nan]}) is None
    empty = ClassTable("", "", (), (), "", (), (), ("cam",), (("boat", (math.nan,)),))
    assert class_chart(empty) is None
