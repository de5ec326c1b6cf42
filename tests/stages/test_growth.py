"""Which photos a training watches, and what it kept of them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from oaa_pl.errors import ConfigError, RunMismatchError
from oaa_pl.stages.growth import (
    epoch_of,
    few_watched,
    growth_epochs,
    kept_maps,
    watched_in,
    watched_photos,
)

# Classes of each photo, of three.
TAGS = ([2], [0], [2], [0, 1], [1], [2], [0])


def source() -> Any:
    labels = np.zeros((len(TAGS), 3), np.uint8)
    for place, tags in enumerate(TAGS):
        labels[place, tags] = 1
    return SimpleNamespace(labels=labels, ids=[f"photo-{place}" for place in range(len(TAGS))])


def keep(classifier: Path, epoch: int, places: tuple[int, ...]) -> Path:
    (classifier / "growth").mkdir(parents=True, exist_ok=True)
    path = classifier / f"growth/epoch-{epoch:03d}.npz"
    maps = np.full((1, 2, 2), epoch / 10, np.float16)
    np.savez(path, **{f"cumulative-{place}": maps for place in places})
    return path


def test_the_first_photo_of_each_class_comes_first_then_the_second_of_each() -> None:
    assert watched_photos(source(), 3) == [0, 1, 3]
    assert watched_photos(source(), 5) == [0, 1, 3, 2, 4]
    assert watched_photos(source(), 99) == [0, 1, 3, 2, 4, 5, 6]


@pytest.mark.parametrize("count", range(8))
def test_more_photos_do_not_change_the_first_ones(count: int) -> None:
    assert watched_photos(source(), count) == watched_photos(source(), 99)[:count]


@pytest.mark.parametrize("count", [-1, 2.5, True, "all", None])
def test_what_is_no_number_of_photos_is_refused(count: Any) -> None:
    with pytest.raises(ConfigError, match=r"report\.watched: expected a whole number, 0 or more"):
        watched_photos(source(), count)


def test_a_training_resumed_with_another_number_has_the_photos_of_every_epoch(
    tmp_path: Path,
) -> None:
    keep(tmp_path, 0, (0, 1, 3))
    keep(tmp_path, 1, (0, 1, 3, 2, 4))
    keep(tmp_path, 2, (0, 1, 2))
    files = growth_epochs(tmp_path)
    assert [epoch_of(file) for file in files] == [1, 2, 3]
    assert watched_in(files) == [0, 1]
    assert watched_in([]) == []


def test_figures_show_the_first_four_of_many(tmp_path: Path) -> None:
    keep(tmp_path, 0, tuple(range(7)))
    assert few_watched(growth_epochs(tmp_path), source()) == [0, 1, 3, 2]


def test_the_maps_of_an_epoch_are_read_by_kind(tmp_path: Path) -> None:
    file = keep(tmp_path, 3, (0, 12))
    assert {place: float(maps.max()) for place, maps in kept_maps(file, "cumulative").items()} == {
        0: pytest.approx(0.3, abs=1e-3),
        12: pytest.approx(0.3, abs=1e-3),
    }
    assert kept_maps(file, "attention") == {}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"epoch,loss\n"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = keep(tmp_path, 0, (0,))
    file.write_bytes(content)
    with pytest.raises(RunMismatchError, match=r"growth/epoch-000\.npz is damaged"):
        watched_in([file])


def test_a_cut_file_is_named(tmp_path: Path) -> None:
    file = keep(tmp_path, 0, (0, 1))
    whole = file.read_bytes()
    for size in range(0, len(whole), 37):
        file.write_bytes(whole[:size])
        with pytest.raises(RunMismatchError, match="is damaged"):
            kept_maps(file, "cumulative")
