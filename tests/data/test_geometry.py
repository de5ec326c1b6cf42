"""Coordinate ramps through every augmentation: the view must say where each pixel went."""

import random

import albumentations as A
import cv2
import numpy as np
import pytest
from tests.data.ramps import misplacement, ramps

from oaa_pl.data.geometry import MOVES, STAYS, warp_label
from oaa_pl.data.transforms import ViewTransform

with pytest.warns(UserWarning, match="special case of Affine"):
    SHIFT_SCALE_ROTATE = A.ShiftScaleRotate(p=1)

SIZES = [(97, 131), (120, 64)]
PIPELINES = {
    "HorizontalFlip": [A.HorizontalFlip(p=1)],
    "VerticalFlip": [A.VerticalFlip(p=1)],
    "Transpose": [A.Transpose(p=1)],
    "RandomRotate90": [A.RandomRotate90(p=1)],
    "D4": [A.D4(p=1)],
    "SquareSymmetry": [A.SquareSymmetry(p=1)],
    "Resize down": [A.Resize(40, 50)],
    "Resize up": [A.Resize(256, 300)],
    "Resize area down": [A.Resize(40, 50, area_for_downscale="image")],
    "Resize area up": [A.Resize(256, 300, area_for_downscale="image")],
    "SmallestMaxSize": [A.SmallestMaxSize(80)],
    "LongestMaxSize": [A.LongestMaxSize(73)],
    "RandomScale": [A.RandomScale((-0.5, 0.9), p=1)],
    "RandomCrop": [A.RandomCrop(51, 40)],
    "RandomCrop padded": [A.RandomCrop(110, 140, pad_if_needed=True)],
    "CenterCrop": [A.CenterCrop(51, 40)],
    "CenterCrop padded": [A.CenterCrop(111, 80, pad_if_needed=True)],
    "RandomCropFromBorders": [A.RandomCropFromBorders(p=1)],
    "RandomSizedCrop": [A.RandomSizedCrop((30, 60), size=(70, 70), p=1)],
    "RandomResizedCrop": [A.RandomResizedCrop((80, 60), scale=(0.2, 0.9))],
    "Pad": [A.Pad((3, 8, 5, 13))],
    "PadIfNeeded": [A.PadIfNeeded(150, 160)],
    "PadIfNeeded random": [A.PadIfNeeded(150, 160, position="random")],
    "PadIfNeeded mirrored": [A.PadIfNeeded(150, 160, border_mode=cv2.BORDER_REFLECT_101)],
    "PadIfNeeded divisor": [A.PadIfNeeded(None, None, 32, 32)],
    "Affine scale": [A.Affine(scale=(0.6, 1.4), p=1)],
    "Affine all": [
        A.Affine(
            scale=(0.7, 1.3), rotate=(-40, 40), translate_percent=(-0.1, 0.1), shear=(-9, 9), p=1
        )
    ],
    "Affine fitted": [A.Affine(rotate=(-40, 40), fit_output=True, p=1)],
    "ShiftScaleRotate": [SHIFT_SCALE_ROTATE],
    "SafeRotate": [A.SafeRotate(limit=60, p=1)],
    "Rotate": [A.Rotate(limit=60, p=1)],
    "Rotate mirrored": [A.Rotate(limit=60, border_mode=cv2.BORDER_REFLECT_101, p=1)],
    "Rotate cropped": [A.Rotate(limit=30, crop_border=True, p=1)],
    "NoOp": [A.NoOp()],
    "CoarseDropout": [A.CoarseDropout(p=1)],
    "Erasing": [A.Erasing(p=1)],
    "GridDropout": [A.GridDropout(p=1)],
    "XYMasking": [A.XYMasking(1, 1, mask_x_length=9, mask_y_length=9, p=1)],
    "PixelDropout": [A.PixelDropout(p=1)],
    "segmenter": [
        A.RandomScale((-0.5, 0.5), p=1),
        A.PadIfNeeded(96, 96, position="random"),
        A.RandomCrop(96, 96),
        A.HorizontalFlip(p=0.5),
    ],
    "nested": [
        A.OneOf([A.RandomRotate90(p=1), A.Sequential([A.Transpose(p=1), A.Resize(70, 90)], p=1)]),
        A.SomeOf([A.HorizontalFlip(p=1), A.Affine(rotate=(-20, 20), p=1)], n=3, replace=True),
        A.RandomOrder([A.RandomCrop(40, 44), A.VerticalFlip(p=1), A.Transpose(p=1)], n=3),
        A.OneOrOther(A.NoOp(), A.Compose([A.Resize(60, 60), A.D4(p=1)])),
    ],
}


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("size", SIZES)
def test_the_view_places_every_pixel_within_a_tenth_of_a_pixel(
    name: str, size: tuple[int, int]
) -> None:
    transform = ViewTransform(PIPELINES[name], mean=(0, 0, 0), std=(1, 1, 1))
    for seed in range(3):
        image, view, _ = transform.augment(ramps(size), (seed,))
        errors = misplacement(ramps(size), image, view)
        assert len(errors) > 200
        assert errors.max() < 0.1


# Not where the library resizes or mirrors: there it places keypoints beside what the image shows.
WITH_KEYPOINTS = (
    "HorizontalFlip", "VerticalFlip", "Transpose", "RandomRotate90", "D4", "SquareSymmetry",
    "RandomCrop", "RandomCrop padded", "CenterCrop", "CenterCrop padded", "RandomCropFromBorders",
    "Pad", "PadIfNeeded", "PadIfNeeded random", "Affine scale", "Affine all", "Affine fitted",
    "ShiftScaleRotate", "SafeRotate", "Rotate", "Rotate cropped",
)  # fmt: skip


def corners_by_keypoints(name: str, size: tuple[int, int], seed: int) -> tuple[np.ndarray, tuple]:
    """Where the library says that the four corner pixels go, (4, 2), and the size of the result."""
    height, width = size
    pipeline = A.Compose(
        PIPELINES[name], keypoint_params=A.KeypointParams("xy", remove_invisible=False)
    )
    generator = np.random.default_rng([2, seed])  # as `augment` seeds it
    pipeline.set_random_state(generator, random.Random(int(generator.integers(2**63))))
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]])
    seen = pipeline(
        image=ramps(size), mask=np.ones(size, np.uint8), keypoints=corners, drawn_moves={}
    )
    return seen["keypoints"], seen["image"].shape[:2]


@pytest.mark.parametrize("name", WITH_KEYPOINTS)
@pytest.mark.parametrize("size", SIZES)
def test_the_view_moves_the_corners_as_the_library_moves_keypoints(
    name: str, size: tuple[int, int]
) -> None:
    transform = ViewTransform(PIPELINES[name], mean=(0, 0, 0), std=(1, 1, 1))
    for seed in range(3):
        view = transform.augment(ramps(size), (seed,))[1]
        found, after = corners_by_keypoints(name, size, seed)
        edge = 1 - 1 / np.array([size[1], size[0]])  # the corner pixels' centres
        corners = np.array([[x, y, 1] for y in (-edge[1], edge[1]) for x in (-edge[0], edge[0])])
        pixels = ((corners @ view.T)[:, :2] + 1) * (after[1] / 2, after[0] / 2) - 0.5
        np.testing.assert_allclose(pixels, found, atol=1e-4)  # keypoints are float32


def test_every_augmentation_that_is_let_through_is_tested() -> None:
    tested = {name.split()[0] for name in PIPELINES}
    assert {transform.__name__ for transform in (*MOVES, *STAYS)} <= tested


def plain_warp(label: np.ndarray, view: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    seen = np.full(size, 255, dtype=np.uint8)
    for row in range(size[0]):
        for column in range(size[1]):
            here = np.array([(column + 0.5) * 2 / size[1] - 1, (row + 0.5) * 2 / size[0] - 1, 1.0])
            x, y, _ = np.linalg.solve(view, here)
            if -1 <= x < 1 and -1 <= y < 1:
                place = int((y + 1) / 2 * label.shape[0]), int((x + 1) / 2 * label.shape[1])
                seen[row, column] = label[place]
    return seen


def test_a_label_is_sampled_at_the_place_that_each_pixel_shows() -> None:
    generator = np.random.default_rng(0)
    label = generator.integers(0, 21, (33, 47), dtype=np.uint8)
    for _ in range(5):
        view = np.eye(3)
        view[:2] += generator.normal(0, 0.4, (2, 3))
        np.testing.assert_array_equal(
            warp_label(label, view, (29, 31)), plain_warp(label, view, (29, 31))
        )


def test_a_label_under_the_identity_is_itself() -> None:
    label = np.random.default_rng(0).integers(0, 256, (37, 53), dtype=np.uint8)
    np.testing.assert_array_equal(warp_label(label, np.eye(3), (37, 53)), label)


def test_a_label_is_ignored_where_the_view_leaves_the_photo() -> None:
    half = np.array([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]])
    seen = warp_label(np.ones((8, 8), dtype=np.uint8), half, (8, 8))
    assert (seen[2:6, 2:6] == 1).all()
    assert (seen == 255).sum() == 64 - 16
