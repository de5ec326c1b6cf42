import pickle

import albumentations as A
import numpy as np
import pytest
import torch

from oaa_pl.data.geometry import MOVES
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.errors import ConfigError, NonAffineTransformError

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
LABEL = np.random.default_rng(1).integers(0, 3, (40, 56), dtype=np.uint8)


def upside_down(image: np.ndarray, **_: object) -> np.ndarray:
    return image[::-1]


RANDOM = [
    A.RandomScale((-0.3, 0.3), p=1),
    A.OneOf([A.HorizontalFlip(p=1), A.Rotate(limit=30, p=1)], p=0.8),
    A.ColorJitter(p=0.7),
    A.GaussNoise(p=0.5),
    A.CoarseDropout(p=0.5),
    A.PadIfNeeded(48, 48, position="random"),
    A.RandomCrop(32, 32),
]
REFUSED = [
    A.ElasticTransform(p=1),
    A.GridDistortion(p=1),
    A.OpticalDistortion(p=1),
    A.Perspective(p=1),
    A.ThinPlateSpline(p=1),
    A.RandomGridShuffle(p=1),
    A.GridElasticDeform((4, 4), 5, p=1),
    A.Morphological(p=1),
    A.Mosaic(p=1),
    A.Lambda(image=upside_down, p=1),
    A.CropNonEmptyMaskIfExists(8, 8, p=1),
]


def plain(*augmentations: object) -> ViewTransform:
    return ViewTransform(augmentations, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def test_pixels_are_normalised_per_channel() -> None:
    mean, std = (0.5, 0.4, 0.3), (0.1, 0.2, 1 / 255)
    seen = ViewTransform([], mean, std)(PHOTO, (0,))
    expected = (PHOTO.astype(np.float64) / 255 - mean) / std
    assert seen.image.dtype == torch.float32
    torch.testing.assert_close(
        seen.image, torch.from_numpy(expected.transpose(2, 0, 1)).float(), rtol=1e-5, atol=1e-4
    )


def test_the_whole_photo_is_the_identity_view() -> None:
    seen = plain(A.Resize(24, 24))(PHOTO, (0,))
    assert seen.image.shape == (3, 24, 24)
    assert seen.view.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert seen.view.dtype == torch.float32
    assert seen.target is None


def test_a_flip_is_seen_in_the_view() -> None:
    assert plain(A.HorizontalFlip(p=1))(PHOTO, (0,)).view.tolist() == [[-1, 0, 0], [0, 1, 0]]


def test_moves_add_up_in_their_order() -> None:
    _, view, _ = plain(A.HorizontalFlip(p=1), A.Transpose(p=1)).augment(PHOTO, (0,))
    assert view[:2].tolist() == [[0, 1, 0], [-1, 0, 0]]


def test_a_transform_drawn_twice_counts_twice() -> None:
    twice = plain(A.SomeOf([A.RandomRotate90(p=1)], n=2, replace=True))
    for seed in range(8):
        image, view, _ = twice.augment(PHOTO[:, :40], (seed,))
        turns = [k for k in range(4) if np.array_equal(np.rot90(PHOTO[:, :40], k), image)]
        quarter = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
        np.testing.assert_array_equal(view, np.linalg.matrix_power(quarter, turns[0]))


def test_the_same_seed_gives_the_same_sample() -> None:
    first, other = plain(*RANDOM), plain(*RANDOM)
    first(PHOTO, (9, 9, 9))  # a past that must leave no trace
    for seed in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)):
        a, b = first(PHOTO, seed, LABEL), other(PHOTO, seed, LABEL)
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.view, b.view)
        assert torch.equal(a.target, b.target)


def test_every_part_of_the_seed_matters() -> None:
    transform = plain(*RANDOM)
    seeds = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 0), (0, 1, 1)]
    seen = {transform(PHOTO, seed).image.numpy().tobytes() for seed in seeds}
    assert len(seen) == len(seeds)


def test_transforms_draw_independently_of_each_other() -> None:
    both = plain(A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5))
    views = [both.augment(PHOTO, (seed,))[1] for seed in range(200)]
    counts = np.unique([(v[0, 0], v[1, 1]) for v in views], axis=0, return_counts=True)[1]
    assert len(counts) == 4
    assert counts.min() > 30


SMALL, AREA = A.Resize(24, 20, area_for_downscale="image"), A.LongestMaxSize(48)


@pytest.mark.parametrize(
    ("fixed", "more"),
    [
        ([SMALL], [A.HorizontalFlip(p=0.5), A.ColorJitter(p=1)]),
        ([AREA, A.SmallestMaxSize(30)], RANDOM),
        ([SMALL, AREA, A.Resize(40, 40)], [A.SquareSymmetry(p=1)]),
        ([], RANDOM),
        ([], [A.LongestMaxSize([24, 48]), A.Resize(24, 24)]),  # one of two sizes
        ([], [A.Resize(24, 24, p=0.5), A.Resize(30, 30)]),
        ([], [A.HorizontalFlip(p=0.5), SMALL]),
    ],
)
def test_resizes_at_the_beginning_can_be_done_once(fixed: list, more: list) -> None:
    alone = A.Compose(fixed)(image=PHOTO)["image"]
    transform = plain(*fixed, *more)
    np.testing.assert_array_equal(transform.resized(PHOTO), alone)
    for seed in range(6):
        whole, kept = transform(PHOTO, (seed,), LABEL), plain(*more)(alone, (seed,), LABEL)
        of_resized = transform.of_resized(alone.copy(), (seed,), LABEL)
        for seen in (kept, of_resized):
            for one, other in zip(seen, whole, strict=True):
                assert torch.equal(one, other)


def test_a_copy_in_another_process_sees_the_same() -> None:
    transform = plain(*RANDOM)
    copy = pickle.loads(pickle.dumps(transform))
    a, b = transform(PHOTO, (1, 2, 3), LABEL), copy(PHOTO, (1, 2, 3), LABEL)
    assert torch.equal(a.image, b.image)
    assert torch.equal(a.view, b.view)


def test_a_label_is_seen_through_the_view_of_its_photo() -> None:
    photo = np.repeat(LABEL[..., None] * 100, 3, axis=-1)
    steps = [A.D4(p=1), A.RandomCrop(24, 20), A.PadIfNeeded(32, 32, position="random", fill=255)]
    for seed in range(6):
        seen = plain(*steps)(photo, (seed,), LABEL)
        shown = (seen.image[0] * 255 / 100).round().long()
        assert seen.target.dtype == torch.int64
        assert torch.equal(seen.target, torch.where(seen.image[0] == 1, 255, shown))


def test_a_label_may_have_another_resolution_than_its_photo() -> None:
    seen = plain(A.Resize(80, 112), A.HorizontalFlip(p=1))(PHOTO, (0,), LABEL)
    expected = np.repeat(np.repeat(LABEL[:, ::-1], 2, axis=0), 2, axis=1)
    np.testing.assert_array_equal(seen.target.numpy(), expected)


@pytest.mark.parametrize("transform", REFUSED, ids=lambda t: type(t).__name__)
def test_what_is_not_affine_is_refused_by_name(transform: A.BasicTransform) -> None:
    with pytest.raises(NonAffineTransformError, match=rf"^{type(transform).__name__} moves pixels"):
        plain(A.Resize(24, 24), transform)


@pytest.mark.parametrize(
    "nest",
    [
        lambda t: A.OneOf([A.NoOp(), t]),
        lambda t: A.Sequential([t]),
        lambda t: A.SomeOf([A.NoOp(), t], n=1),
        lambda t: A.RandomOrder([A.NoOp(), t], n=1),
        lambda t: A.OneOrOther(A.NoOp(), t),
        lambda t: A.Compose([A.OneOf([A.Sequential([t])])]),
    ],
)
def test_what_is_not_affine_is_found_in_any_nest(nest: object) -> None:
    with pytest.raises(NonAffineTransformError, match="ElasticTransform"):
        plain(nest(A.ElasticTransform(p=1)))


def test_a_composition_of_its_own_kind_is_refused() -> None:
    with pytest.raises(NonAffineTransformError, match="SelectiveChannelTransform"):
        plain(A.SelectiveChannelTransform([A.HorizontalFlip(p=1)], channels=[0]))


def test_a_subclass_of_a_known_transform_may_do_anything() -> None:
    class Wobble(A.HorizontalFlip):
        pass

    with pytest.raises(NonAffineTransformError, match="Wobble"):
        plain(Wobble(p=1))


def test_what_is_no_transform_is_refused() -> None:
    with pytest.raises(NonAffineTransformError, match="function"):
        plain(lambda image: image)


@pytest.mark.parametrize("transform", [A.Normalize(), A.ToFloat(), A.ToTensorV2()])
def test_normalisation_is_not_asked_for_twice(transform: A.BasicTransform) -> None:
    with pytest.raises(ConfigError, match=f"{type(transform).__name__} must be removed"):
        plain(transform)


def test_a_misspelt_argument_is_refused() -> None:
    with pytest.warns(UserWarning, match="not valid"):
        flip = A.HorizontalFlip(probability=1)
    with pytest.raises(ConfigError, match="HorizontalFlip knows no argument probability"):
        plain(flip)


def test_a_transform_that_needs_more_than_the_photo_is_refused() -> None:
    with pytest.raises(ConfigError, match="FDA needs"):
        plain(A.FDA())


def test_a_picture_that_is_no_longer_rgb_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"shape \(40, 56\) and type uint8"):
        plain(A.ToGray(num_output_channels=1, p=1))(PHOTO, (0,))


@pytest.mark.parametrize(
    ("mean", "std"), [((0, 0), (1, 1, 1)), ((0, 0, 0), (1, 1)), ((0, 0, 0), (1, 0, 1))]
)
def test_mean_and_std_are_three_numbers(mean: tuple[int, ...], std: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="mean and std must be 3 numbers"):
        ViewTransform([], mean, std)


def test_every_move_is_by_a_rule_of_its_own_class() -> None:
    assert all(issubclass(transform, A.DualTransform) for transform in MOVES)
