from pathlib import Path

import numpy as np
import pytest
import torch

from oaa_pl.data.features import FeatureDataset, open_features, write_features
from oaa_pl.data.voc import VocSource
from oaa_pl.errors import DivergedError, StoreError
from oaa_pl.types import Draw


@pytest.fixture
def parts() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(size=(n, 3, 4, 5)).astype(np.float32) for n in (3, 1)]


def test_written_features_are_read_back_in_half_precision(tmp_path: Path, parts: list) -> None:
    path = tmp_path / "run/features.npy"
    found = open_features(path, 4, write_features(path, parts, 4))
    assert isinstance(found, np.memmap)
    assert np.array_equal(found, np.concatenate(parts).astype(np.float16))
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_writer_that_stops_leaves_nothing(tmp_path: Path, parts: list) -> None:
    def stopping():  # type: ignore[no-untyped-def]  # of a test
        yield parts[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_features(tmp_path / "features.npy", stopping(), 4)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["a bit", "the end", "the file"])
def test_damage_is_named(tmp_path: Path, parts: list, damage: str) -> None:
    path = tmp_path / "features.npy"
    checksum = write_features(path, parts, 4)
    content = bytearray(path.read_bytes())
    content[-2] ^= 64
    {
        "a bit": lambda: path.write_bytes(content),
        "the end": lambda: path.write_bytes(path.read_bytes()[:-8]),
        "the file": path.unlink,
    }[damage]()
    with pytest.raises(StoreError, match=r"features\.npy .*compute the features again"):
        open_features(path, 4, checksum)


def test_features_of_another_number_of_images_are_refused(tmp_path: Path, parts: list) -> None:
    path = tmp_path / "features.npy"
    checksum = write_features(path, parts, 4)
    with pytest.raises(StoreError, match=r"\(4, 3, 4, 5\), expected those of 5 images"):
        open_features(path, 5, checksum)


def test_a_feature_that_16_bits_cannot_hold_is_refused(tmp_path: Path, parts: list) -> None:
    parts[1][0, 0, 0, 0] = 7e4
    with pytest.raises(DivergedError, match="below 65504, got 70000"):
        write_features(tmp_path / "features.npy", parts, 4)


def samples(root: Path, epoch: int) -> list:
    source = VocSource(root, "train")
    features = np.random.default_rng(1).normal(size=(9, 2, 4, 4)).astype(np.float16)
    data = FeatureDataset(source, features, [8, 1, 5, 0], source.mask, side=16, seed=3)
    drawn = [data[Draw(index, epoch)] for index in range(len(data))]
    for index, sample in enumerate(drawn):
        plain = torch.from_numpy(features[data.places[index]].astype(np.float32))
        mirrored = bool(sample["view"][0, 0] < 0)
        assert torch.equal(sample["image"], plain.flip(2) if mirrored else plain)
    return drawn


def test_a_sample_mirrors_features_and_target_together(tiny_voc_once: Path) -> None:
    epochs = [samples(tiny_voc_once, epoch) for epoch in range(6)]
    for several in zip(*epochs, strict=True):
        target = {bool(one["view"][0, 0] < 0): one["target"] for one in several}
        assert len(target) == 2, "each is mirrored in some epoch, and in some not"
        assert torch.equal(target[True], target[False].flip(1))
        assert target[False].unique().tolist() != [0]


def test_a_sample_depends_on_seed_epoch_and_index_alone(tiny_voc_once: Path) -> None:
    for one, other in zip(samples(tiny_voc_once, 4), samples(tiny_voc_once, 4), strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)
