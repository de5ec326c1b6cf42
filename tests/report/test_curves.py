import math

import pytest

from oaa_pl.errors import ConfigError
from oaa_pl.report.curves import IouCurve, mean_curve, peaks_of

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
    peaks = peaks_of(
        {
            "cam": IouCurve(THRESHOLDS, [10, 30, 20, 5]),
            "oaa_max": IouCurve(THRESHOLDS, [10, 30, 40, 5]),
        }
    )
    assert [(peak.method, peak.title) for peak in peaks] == [
        ("oaa_max", "OAA, maximum"),
        ("cam", "CAM"),
    ]
    assert [(peak.threshold, peak.miou) for peak in peaks] == [(0.5, 40), (0.25, 30)]


def test_an_undefined_score_is_no_point_and_a_curve_of_none_has_no_peak() -> None:
    curve = IouCurve(THRESHOLDS, [math.nan, 30, 20, 5], [math.nan, 1, 2, 3])
    assert curve.points() == [(0.25, 30, 1), (0.5, 20, 2), (0.75, 5, 3)]
    assert peaks_of({"cam": IouCurve([0.5], [math.nan])}) == []
    assert peaks_of({}) == []
