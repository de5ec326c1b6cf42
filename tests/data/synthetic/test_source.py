from pathlib import Path

import numpy as np
import pytest

from oaa_pl.data.source import Source, fingerprint
from oaa_pl.data.synthetic.cache import MASKS
from oaa_pl.data.synthetic.scene import CLASSES, draw_scene
from oaa_pl.data.synthetic.source import SyntheticSource


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("synthetic")


def opened(root: Path, split: str = "train", seed: int = 0) -> SyntheticSource:
    return SyntheticSource(root, split, images=9, seed=seed, long_side=64, reliability=0.9)


def test_it_is_a_source_with_ids_and_one_row_of_tags_per_image(root: Path) -> None:
    source = opened(root)
    assert isinstance(source, Source)
    assert (source.name, source.split, source.classes) == ("synthetic", "train", CLASSES)
    assert source.ids[:2] == ("train_00000", "train_00001")
    assert source.labels.shape == (9, len(CLASSES))
    assert source.labels.dtype == np.uint8


def test_photos_and_masks_come_back_as_they_were_drawn(root: Path) -> None:
    source = opened(root)
    for index in range(3):
        scene = draw_scene(0, "train", index, 64, 0.9)
        np.testing.assert_array_equal(source.photo(index), scene.photo)
        np.testing.assert_array_equal(source.mask(index), scene.mask)


def test_the_tags_are_exactly_the_classes_seen_in_the_mask(root: Path) -> None:
    source = opened(root)
    for index in range(9):
        seen = {
            category
            for category in range(len(CLASSES))
            if (source.mask(index) == category + 1).any()
        }
        assert set(np.flatnonzero(source.labels[index])) == seen


def test_opening_and_reading_photos_needs_no_mask_to_be_readable(root: Path) -> None:
    source = opened(root, seed=7)
    for path in source.photo_path(0).parents[1].joinpath(MASKS).iterdir():
        path.write_bytes(b"unreadable")
    again = opened(root, seed=7)
    assert again.photo(0).ndim == 3
    np.testing.assert_array_equal(again.labels, source.labels)


def test_splits_and_seeds_have_fingerprints_of_their_own(root: Path) -> None:
    prints = {
        fingerprint(opened(root, split, seed)) for split in ("train", "val") for seed in (0, 1)
    }
    assert len(prints) == 4
    assert fingerprint(opened(root)) in prints
