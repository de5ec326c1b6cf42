from pathlib import Path

import albumentations as A
import numpy as np
import pytest
import torch

from oaa_pl.data.dataset import PhotoDataset, collate
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.data.voc import VocSource
from oaa_pl.errors import BadImageError, ConfigError
from oaa_pl.types import Batch, Draw


def transform(*augmentations: object) -> ViewTransform:
    steps = augmentations or (A.RandomResizedCrop((32, 32)), A.ColorJitter(p=1))
    return ViewTransform(steps, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def equal(a: Batch, b: Batch) -> bool:
    return set(a) == set(b) and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture
def source(tiny_voc: Path) -> VocSource:
    return VocSource(tiny_voc, "train")


def test_a_sample_has_what_every_stage_needs(source: VocSource) -> None:
    sample = PhotoDataset(source, transform())[Draw(2, epoch=5, repeat=True)]
    assert set(sample) == {"image", "labels", "index", "view", "repeat"}
    assert sample["image"].shape == (3, 32, 32)
    assert sample["labels"].dtype == torch.float32
    assert sample["labels"].nonzero().flatten().tolist() == [7, 14]
    assert sample["index"].item() == 2
    assert sample["index"].dtype == torch.int64
    assert sample["repeat"].item() is True
    assert sample["view"].shape == (2, 3)


def test_a_sample_depends_on_seed_epoch_and_index_alone(source: VocSource) -> None:
    first, other = PhotoDataset(source, transform(), 3), PhotoDataset(source, transform(), 3)
    [first[Draw(i, 0)] for i in range(4)]
    assert equal(first[Draw(1, 6)], other[Draw(1, 6)])
    assert not equal(first[Draw(1, 6)], other[Draw(1, 7)])
    assert not equal(first[Draw(1, 6)], PhotoDataset(source, transform(), 4)[Draw(1, 6)])


def test_a_plain_index_is_the_first_epoch(source: VocSource) -> None:
    dataset = PhotoDataset(source, transform())
    assert len(dataset) == 4
    assert equal(dataset[1], dataset[Draw(1, 0)])


def test_soft_labels_come_on_the_whole_photos_grid(source: VocSource) -> None:
    grids = np.random.default_rng(0).random((4, 20, 5, 6))
    dataset = PhotoDataset(source, transform(), soft_labels=lambda index: grids[index])
    sample = dataset[Draw(3, 1)]
    assert sample["soft_label"].dtype == torch.float32
    np.testing.assert_allclose(sample["soft_label"].numpy(), grids[3], rtol=1e-6)


def test_proxy_labels_are_seen_through_the_view(source: VocSource) -> None:
    dataset = PhotoDataset(source, transform(A.HorizontalFlip(p=1)), proxy_labels=source.mask)
    sample = dataset[0]
    np.testing.assert_array_equal(sample["target"].numpy(), source.mask(0)[:, ::-1])


def test_training_never_opens_a_mask(tiny_voc: Path) -> None:
    source = VocSource(tiny_voc, "train")
    for path in (tiny_voc / "SegmentationClass").iterdir():
        path.unlink()
    dataset = PhotoDataset(source, transform())
    assert "target" not in dataset[0]


def test_a_photo_damaged_since_is_named(source: VocSource) -> None:
    path = source.photo_path(0)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadImageError, match=r"2007_000001\.jpg is not a readable image"):
        PhotoDataset(source, transform())[0]


def test_a_negative_seed_is_refused(source: VocSource) -> None:
    with pytest.raises(ConfigError, match="seed must be 0 or more, got -1"):
        PhotoDataset(source, transform(), seed=-1)


def test_a_batch_stacks_its_samples(source: VocSource) -> None:
    dataset = PhotoDataset(source, transform(), proxy_labels=source.mask)
    batch = collate([dataset[0], dataset[2]])
    assert batch["image"].shape == (2, 3, 32, 32)
    assert batch["labels"].shape == (2, 20)
    assert batch["index"].tolist() == [0, 2]
    assert batch["view"].shape == (2, 2, 3)
    assert batch["repeat"].tolist() == [False, False]
    assert batch["target"].shape == (2, 32, 32)


def test_images_of_different_sizes_make_no_batch(source: VocSource) -> None:
    dataset = PhotoDataset(source, transform(A.SmallestMaxSize(32)))
    with pytest.raises(ConfigError, match="end the augmentations with a Resize or a crop"):
        collate([dataset[0], dataset[1]])
