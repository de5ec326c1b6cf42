from itertools import pairwise

import pytest

from oaa_pl.report.axis import Scale, round_ticks


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.0, 0.99), (3.2, 61.7), (-4.1, 8.4), (5.0, 5.0), (0.0, 0.0)]
)
def test_ticks_ascend_in_equal_steps_and_enclose_the_interval(low: float, high: float) -> None:
    ticks = round_ticks(low, high, 5)
    steps = [after - before for before, after in pairwise(ticks)]
    assert 1 <= len(steps) <= 10
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert all(step == pytest.approx(steps[0]) and step > 0 for step in steps)


def test_a_scale_maps_the_ends_of_its_domain_to_the_ends_of_its_extent() -> None:
    up = Scale((10.0, 60.0), (400.0, 20.0))
    assert (up(10.0), up(60.0), up(35.0)) == (400.0, 20.0, 210.0)
