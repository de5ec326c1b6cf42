import colorsys
from typing import get_args

import numpy as np
import pytest

from oaa_pl.data.synthetic.materials import Material, Pattern, hue, jitter, material_colours


@pytest.mark.parametrize("degrees", [0, 45, 100, 190, 250, 355])
def test_hue_agrees_with_the_standard_library(degrees: float) -> None:
    assert hue(degrees, 0.6, 0.8) == pytest.approx(colorsys.hsv_to_rgb(degrees / 360, 0.6, 0.8))


def test_jitter_stays_near_the_colour_and_in_range() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        moved = jitter(rng, (0.02, 0.5, 0.99), spread=0.1)
        assert all(0 <= value <= 1 for value in moved)
        assert abs(moved[1] - 0.5) <= 0.2


@pytest.mark.parametrize("pattern", get_args(Pattern))
def test_every_pattern_mixes_its_two_colours_and_nothing_else(pattern: Pattern) -> None:
    y, x = np.mgrid[-1:1:60j, -1:1:60j]
    material = Material((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), pattern, period=0.3, angle=0.4)
    colours = material_colours(material, x.ravel(), y.ravel())
    assert colours.shape == (3600, 3)
    np.testing.assert_allclose(colours[:, 0] + colours[:, 2], 1, atol=1e-9)
    blue = (colours[:, 2] > 0.5).mean()
    assert blue == 0 if pattern == "plain" else 0.1 < blue < 0.9


def test_stripes_repeat_after_one_period() -> None:
    material = Material((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), "stripes", period=0.3)
    x = np.linspace(-1, 1, 50)
    here = material_colours(material, x, np.zeros(50))
    there = material_colours(material, x + 0.3, np.full(50, 0.7))
    np.testing.assert_allclose(here, there, atol=1e-9)
