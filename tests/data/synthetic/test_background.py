import numpy as np

from oaa_pl.data.synthetic.background import clutter, ground, value_noise
from oaa_pl.data.synthetic.canvas import Canvas


def test_noise_is_in_range_and_the_same_for_the_same_seed() -> None:
    first = value_noise(np.random.default_rng(0), (40, 60))
    assert first.shape == (40, 60)
    assert -1 <= first.min() < first.max() <= 1
    np.testing.assert_array_equal(first, value_noise(np.random.default_rng(0), (40, 60)))


def test_a_background_is_textured_but_paler_than_an_object() -> None:
    for seed in range(8):
        picture = ground(np.random.default_rng(seed), (90, 120))
        assert picture.shape == (90, 120, 3)
        assert picture.dtype == np.float32
        assert 0 <= picture.min() < picture.max() <= 1
        assert picture.std(axis=(0, 1)).max() > 0.01
        assert np.ptp(picture, axis=2).mean() < 0.5


def test_clutter_is_seen_in_the_photo_and_never_in_the_mask() -> None:
    canvas = Canvas(np.full((90, 120, 3), 0.5, np.float32))
    clutter(np.random.default_rng(0), canvas, 6)
    assert np.ptp(canvas.photo()) > 0
    assert not canvas.ids.any()
