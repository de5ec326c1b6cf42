import math

import numpy as np
import pytest

from oaa_pl.data.synthetic.shapes import Outline, box, ellipse, limb, mirrored, smooth


def area(outline: Outline) -> float:
    """The shoelace formula, edge by edge."""
    total = 0.0
    for here, there in zip(outline, [*outline[1:], outline[0]], strict=True):
        total += here[0] * there[1] - there[0] * here[1]
    return abs(total) / 2


def test_an_ellipse_has_the_area_of_its_radii_at_any_angle() -> None:
    for angle in (0.0, 0.7):
        outline = ellipse((0.3, -0.2), (0.5, 0.25), angle, points=200)
        assert area(outline) == pytest.approx(math.pi * 0.5 * 0.25, rel=1e-3)
        np.testing.assert_allclose(outline.mean(axis=0), [0.3, -0.2], atol=1e-9)


def test_a_straight_limb_is_as_long_and_wide_as_asked_with_round_ends() -> None:
    outline = limb([(0.0, 0.0), (0.0, 1.0)], [0.1, 0.1])
    assert area(outline) == pytest.approx(1.0 * 0.2 + math.pi * 0.1**2, rel=0.02)
    np.testing.assert_allclose(outline.min(axis=0), [-0.1, -0.1], atol=0.01)
    np.testing.assert_allclose(outline.max(axis=0), [0.1, 1.1], atol=0.01)


def test_a_limb_bends_towards_its_middle_joint() -> None:
    bent = limb([(0.0, 0.0), (0.8, 0.5), (0.0, 1.0)], [0.1, 0.1])
    assert bent[:, 0].max() > 0.4


def test_a_tapered_box_is_narrower_at_its_top() -> None:
    outline = box((0.0, 0.0), (1.0, 0.5), taper=0.5)
    top = outline[outline[:, 1] < 0]
    assert np.ptp(top[:, 0]) == pytest.approx(0.5)
    assert area(outline) == pytest.approx(0.5 * (1.0 + 0.5) / 2)


def test_smoothing_keeps_the_outline_inside_its_polygon_and_doubles_the_points() -> None:
    square = box((0.0, 0.0), (2.0, 2.0))
    rounded = smooth(square, rounds=3)
    assert rounded.shape == (4 * 2**3, 2)
    assert np.abs(rounded).max() <= 1
    assert area(rounded) < area(square)


def test_mirroring_twice_gives_the_outline_back() -> None:
    outline = limb([(0.0, 0.0), (0.5, 0.2), (0.3, 1.0)], [0.1, 0.05])
    np.testing.assert_array_equal(mirrored(mirrored(outline)), outline)
