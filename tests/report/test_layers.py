import base64
import io

import numpy as np
import pytest
from PIL import Image

from oaa_pl.errors import ConfigError
from oaa_pl.proxy.palette import voc_palette
from oaa_pl.report.layers import label_layer, map_layer


def decoded(address: str) -> Image.Image:
    kind, _, text = address.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_a_map_keeps_its_cells_and_its_values_to_half_a_grey_level() -> None:
    attention = np.random.default_rng(0).random((11, 17)).astype(np.float32)
    picture = decoded(map_layer(attention))
    assert picture.mode == "L"
    assert np.abs(np.asarray(picture) / 255 - attention).max() <= 0.5 / 255 + 1e-6


def test_values_outside_the_range_are_clipped_and_nan_is_zero() -> None:
    picture = decoded(map_layer(np.array([[-1.0, 2.0, np.nan]])))
    assert np.asarray(picture).tolist() == [[0, 255, 0]]


def test_a_fine_map_is_shrunk() -> None:
    assert decoded(map_layer(np.ones((500, 400)))).size == (51, 64)


def test_a_label_has_vocs_colours_and_its_background_is_transparent() -> None:
    label = np.array([[0, 1, 20, 255]], np.uint8)
    pixels = np.asarray(decoded(label_layer(label, 64)).convert("RGBA"))[0]
    assert pixels[0, 3] == 0
    assert pixels[1].tolist() == [*voc_palette()[1], 255]
    assert pixels[2].tolist() == [*voc_palette()[20], 255]
    assert pixels[3, :3].tolist() == [205, 205, 205]
    assert 0 < pixels[3, 3] < 255


def test_a_label_is_shrunk_to_the_side_without_new_ids() -> None:
    label = np.random.default_rng(0).choice([0, 3, 255], (90, 120)).astype(np.uint8)
    picture = decoded(label_layer(label, 40))
    assert picture.size == (40, 30)
    assert len(set(map(tuple, np.asarray(picture.convert("RGBA")).reshape(-1, 4)))) == 3
    assert decoded(label_layer(label, 500)).size == (120, 90)


def test_a_label_of_one_id_is_encoded() -> None:
    assert decoded(label_layer(np.zeros((5, 5), np.uint8), 64)).size == (5, 5)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a map or label map \(h, w\), got \(1, 2, 3\)"):
        map_layer(np.zeros((1, 2, 3)))
    with pytest.raises(ConfigError, match="expected a map or label map"):
        label_layer(np.zeros((0, 3), np.uint8), 64)
