import math

import pytest

from oaa_pl.errors import ConfigError
from oaa_pl.report.curves import IouCurve, draw_curves, mean_curve

THRESHOLDS = [0.0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("thresholds", "miou"), [([], []), ([0.1, 0.2], [1.0]), ([0.1], [1.0, 2.0])]
)
def test_a_curve_of_uneven_lengths_is_refused(thresholds: list[float], miou: list[float]) -> None:
    with pytest.raises(ConfigError, match="as many values as thresholds"):
        IouCurve(thresholds, miou)


def test_a_curve_of_unsorted_thresholds_is_refused() -> None:
    with pytest.raises(ConfigError, match="ascending thresholds"):
        IouCurve([0.2, 0.1], [1.0, 2.0])


def test_seeds_are_averaged_threshold_by_threshold() -> None:
    curve = mean_curve(
        [IouCurve(THRESHOLDS, [10, 20, 30, 5]), IouCurve(THRESHOLDS, [14, 20, 32, 5])]
    )
    assert curve.miou == [12, 20, 31, 5]
    assert curve.deviation == pytest.approx([math.sqrt(8), 0, math.sqrt(2), 0])


def test_one_seed_is_its_own_mean_without_deviation() -> None:
    assert mean_curve([IouCurve(THRESHOLDS, [1, 2, 3, 4])]).deviation is None


def test_curves_at_other_thresholds_are_not_averaged() -> None:
    with pytest.raises(ConfigError, match="at the same thresholds"):
        mean_curve([IouCurve([0.1], [1.0]), IouCurve([0.2], [1.0])])
    with pytest.raises(ConfigError, match="one or more curves"):
        mean_curve([])


def test_the_peak_is_the_oracle_and_the_highest_curve_comes_first() -> None:
    chart = draw_curves(
        {
            "cam": IouCurve(THRESHOLDS, [10, 30, 20, 5]),
            "oaa_max": IouCurve(THRESHOLDS, [10, 30, 40, 5]),
        }
    )
    assert chart is not None
    assert [line.method for line in chart.lines] == ["oaa_max", "cam"]
    assert [(line.best_threshold, line.best_miou) for line in chart.lines] == [
        (0.5, 40),
        (0.25, 30),
    ]


def test_every_point_lies_inside_the_axes_and_higher_scores_lie_higher() -> None:
    curve = IouCurve(THRESHOLDS, [10, 30, 20, 0.5], [1, 2, 3, 4])
    chart = draw_curves({"cam": curve}, 0.25)
    assert chart is not None
    (line,) = chart.lines
    places = [tuple(map(float, pair.split(","))) for pair in line.path[1:].split("L")]
    places += [tuple(map(float, p.split(","))) for p in line.band[1:].rstrip("Z").split("L")]
    assert len(places) == 4 + 8
    assert all(chart.left <= x <= chart.right and chart.top <= y <= chart.bottom for x, y in places)
    # Downwards in the drawing: 30, 20, 10, 0.5.
    assert places[1][1] < places[2][1] < places[0][1] < places[3][1]
    assert chart.marker is not None
    assert chart.marker.place == places[1][0]


def test_undefined_scores_leave_a_gap_and_no_curve_no_chart() -> None:
    chart = draw_curves({"cam": IouCurve(THRESHOLDS, [math.nan, 30, 20, 5])})
    assert chart is not None
    assert chart.lines[0].path.count(",") == 3
    assert draw_curves({}) is None
    assert draw_curves({"cam": IouCurve([0.5], [math.nan])}) is None


def test_a_curve_of_one_threshold_is_drawn() -> None:
    chart = draw_curves({"cam": IouCurve([0.3], [40.0])}, 0.3)
    assert chart is not None
    assert chart.lines[0].best_miou == 40.0


def test_a_marker_outside_the_axis_is_left_out() -> None:
    chart = draw_curves({"cam": IouCurve([0.5, 0.6], [40.0, 30.0])}, 0.1)
    assert chart is not None
    assert chart.marker is None
