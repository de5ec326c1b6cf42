import base64
import io

import numpy as np
import pytest
from PIL import Image

from oaa_pl.errors import ConfigError
from oaa_pl.proxy.palette import voc_palette
from oaa_pl.report.pictures import HEAT_STOPS, data_uri, heat_overlay, label_overlay, shrink


def photo(height: int = 24, width: int = 36) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_more_attention_is_never_darker() -> None:
    grey = np.full((8, 8, 3), 90, dtype=np.uint8)
    sums = [
        heat_overlay(grey, np.full((2, 2), level))[0, 0].sum() for level in np.linspace(0, 1, 9)
    ]
    assert sums == sorted(sums)
    assert sums[0] < sums[-1]


def test_a_small_map_is_stretched_to_the_photo_without_a_shift() -> None:
    attention = np.zeros((4, 6))
    attention[:, 3:] = 1.0
    out = heat_overlay(np.full((24, 36, 3), 90, dtype=np.uint8), attention).astype(int)
    assert out.shape == (24, 36, 3)
    assert out.dtype == int
    # Outer edge to outer edge: columns mirror each other around the step in the middle.
    assert (out[:, :15] == out[0, 0]).all()
    assert (out[:, 21:] == out[0, -1]).all()


def test_attention_outside_its_range_and_nan_are_drawn_as_the_nearest_level() -> None:
    out = heat_overlay(photo(), np.array([[np.nan, -3.0], [7.0, 1.0]]), strength=1.0)
    same = heat_overlay(photo(), np.array([[0.0, 0.0], [1.0, 1.0]]), strength=1.0)
    np.testing.assert_array_equal(out, same)


def test_the_photo_is_not_changed() -> None:
    original = photo()
    before = original.copy()
    heat_overlay(original, np.ones((3, 3)))
    label_overlay(original, np.ones((24, 36), dtype=np.uint8))
    np.testing.assert_array_equal(original, before)


def test_a_label_takes_its_colour_inside_and_a_light_outline() -> None:
    grey = np.full((20, 20, 3), 100, dtype=np.uint8)
    label = np.zeros((20, 20), dtype=np.uint8)
    label[5:15, 5:15] = 3
    out = label_overlay(grey, label).astype(float)
    np.testing.assert_allclose(out[10, 10], 0.3 * 100 + 0.7 * voc_palette()[3], atol=0.51)
    np.testing.assert_array_equal(out[5, 5], [250, 250, 250])
    np.testing.assert_array_equal(out[0, 0], [55, 55, 55])


def test_ignored_pixels_are_hatched_with_two_greys() -> None:
    grey = np.full((40, 40, 3), 100, dtype=np.uint8)
    out = label_overlay(grey, np.full((40, 40), 255, dtype=np.uint8))
    assert len(np.unique(out)) == 2
    assert (out[..., 0] == out[..., 1]).all()


def test_a_map_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a photo"):
        heat_overlay(photo(), np.zeros((1, 4, 4)))
    with pytest.raises(ConfigError, match="expected a photo"):
        label_overlay(photo()[..., 0], np.zeros((4, 4), dtype=np.uint8))


def test_a_picture_is_scaled_down_and_never_up() -> None:
    assert shrink(photo(24, 36), 18).size == (18, 12)
    assert shrink(photo(24, 36), 400).size == (36, 24)


def test_a_picture_that_is_not_rgb_bytes_is_refused() -> None:
    with pytest.raises(ConfigError, match="uint8 RGB"):
        data_uri(photo().astype(np.float32), 32)
    with pytest.raises(ConfigError, match="uint8 RGB"):
        shrink(photo()[..., 0], 32)


def test_a_data_address_holds_the_picture_as_jpeg() -> None:
    head, _, body = data_uri(photo(48, 64), 32).partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        assert (image.format, image.size) == ("JPEG", (32, 24))


def test_the_legend_runs_from_dark_to_light() -> None:
    levels = [sum(bytes.fromhex(stop[1:])) for stop in HEAT_STOPS]
    assert levels == sorted(levels)


@pytest.mark.parametrize("shape", [(37, 53), (1, 9), (64, 5)])
def test_a_large_photo_s_overlay_is_drawn_in_bands_of_which_nothing_shows(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (*shape, 3), dtype=np.uint8)
    label = generator.choice(np.array([0, 0, 0, 3, 255], np.uint8), (5, 7))
    whole = label_overlay(picture, label)
    for pixels in (1, 2 * shape[1], 7 * shape[1]):
        monkeypatch.setattr("oaa_pl.report.pictures._BAND", pixels)
        np.testing.assert_array_equal(label_overlay(picture, label), whole)
