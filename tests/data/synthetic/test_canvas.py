import numpy as np
import pytest

from oaa_pl.data.synthetic.canvas import SUBPIXELS, Canvas, Pose
from oaa_pl.data.synthetic.materials import Material
from oaa_pl.data.synthetic.parts import Part
from oaa_pl.data.synthetic.shapes import box

RED = Material((1.0, 0.0, 0.0), shine=0.0)


def blank(height: int = 20, width: int = 30) -> Canvas:
    return Canvas(np.full((height * SUBPIXELS, width * SUBPIXELS, 3), 0.5, np.float32))


def square(rim: bool = False) -> list[Part]:
    return [Part(box((0, 0), (2, 2)), RED, rim=rim)]


def test_the_photo_and_the_mask_show_a_part_at_the_same_place() -> None:
    canvas = blank()
    canvas.paint(square(), Pose((45.0, 30.0), 15.0), 4)
    mask, photo = canvas.mask(5), canvas.photo()
    assert photo.shape == (20, 30, 3)
    assert mask[10, 15] == 4
    assert mask[1, 1] == 0
    assert tuple(photo[10, 15]) == (255, 0, 0)
    assert tuple(photo[1, 1]) == (128, 128, 128)


def test_each_mask_pixel_is_the_id_of_most_of_its_sub_pixels() -> None:
    canvas = blank(4, 5)
    canvas.ids[:] = np.random.default_rng(0).integers(0, 3, canvas.ids.shape)
    mask = canvas.mask(3)
    for row in range(4):
        for column in range(5):
            cell = canvas.ids[
                row * SUBPIXELS : (row + 1) * SUBPIXELS,
                column * SUBPIXELS : (column + 1) * SUBPIXELS,
            ]
            counts = [int((cell == i).sum()) for i in range(3)]
            assert mask[row, column] == counts.index(max(counts))


def test_what_is_painted_later_hides_what_was_painted_before_clutter_included() -> None:
    canvas = blank()
    canvas.paint(square(), Pose((45.0, 30.0), 15.0), 1)
    canvas.paint(square(), Pose((54.0, 30.0), 15.0), 2)
    canvas.paint(square(), Pose((66.0, 30.0), 9.0), 0)
    row = canvas.mask(3)[10]
    assert row[11] == 1
    assert row[17] == 2
    assert row[21] == 0


def test_a_part_outside_the_canvas_paints_nothing() -> None:
    canvas = blank()
    canvas.paint(square(), Pose((-500.0, 30.0), 15.0), 1)
    canvas.paint(square(), Pose((45.0, 900.0), 15.0), 1)
    assert not canvas.ids.any()
    assert np.ptp(canvas.photo()) == 0


def test_a_flipped_pose_mirrors_the_object_about_its_centre() -> None:
    corners = np.asarray([[1.0, 0.5]])
    straight = Pose((10.0, 20.0), 2.0).place(corners)
    flipped = Pose((10.0, 20.0), 2.0, flip=True).place(corners)
    np.testing.assert_allclose(straight, [[12, 21]])
    np.testing.assert_allclose(flipped, [[8, 21]])


@pytest.mark.parametrize("flip", [False, True])
def test_a_turn_keeps_lengths(flip: bool) -> None:
    matrix = Pose((0.0, 0.0), 3.0, 0.8, flip).matrix()
    np.testing.assert_allclose(matrix.T @ matrix, 9 * np.eye(2), atol=1e-12)


def test_a_rim_darkens_the_border_and_not_the_middle() -> None:
    canvas = blank()
    canvas.paint(square(rim=True), Pose((45.0, 30.0), 15.0), 1)
    assert canvas.colours[30, 45, 0] == 1
    assert canvas.colours[30, 31, 0] < 0.7
