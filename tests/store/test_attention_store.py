"""One object to accumulate into and to read from, which loses no map by accident."""

import gc
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oaa_pl import AttentionStore, accumulate
from oaa_pl.errors import NoSuchMapError, StoreError, StoreMismatchError, StoreNotEmptyError
from oaa_pl.store.generation import committed
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore

IDS, CLASSES = ["beach", "kitchen", "empty"], ["cat", "dog", "sofa"]
LABELS = [[1, 1, 0], [0, 0, 1], [0, 0, 0]]


def store_in(folder: Path, **how: Any) -> AttentionStore:
    return AttentionStore(folder / "maps", IDS, CLASSES, LABELS, **{"grid": (4, 4)} | how)


def feed(store: AttentionStore, score: float = 1.0, *, epoch: int = 0) -> None:
    """The two tagged images, each tag's score above that of the absent classes."""
    labels = torch.tensor(LABELS)[:2]
    score_map = (labels.float() * score)[:, :, None, None].expand(2, 3, 4, 4).clone()
    score_map[..., 0, 0] /= 2
    accumulate(store, score_map, labels, torch.tensor([0, 1]), epoch=epoch)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AttentionStore]:
    """An open store with maps that are not committed."""
    with store_in(tmp_path) as store:
        feed(store)
        yield store


EXPECTED = np.full((4, 4), 1, np.float32)
EXPECTED[0, 0] = 0.5


# Reading


def test_an_image_has_one_map_for_each_of_its_tags(store: AttentionStore) -> None:
    for key in (0, "beach", np.int64(0), torch.tensor(0)):
        maps = store[key]  # type: ignore[index]
        assert list(maps) == ["cat", "dog"]
        for one in maps.values():
            assert one.dtype == np.float32
            np.testing.assert_array_equal(one, EXPECTED)
    assert store["empty"] == {}


def test_one_map_is_read_by_image_and_class(store: AttentionStore) -> None:
    for image in ("kitchen", 1):
        np.testing.assert_array_equal(store[image, "sofa"], EXPECTED)


def test_a_store_is_a_mapping_of_its_images(store: AttentionStore) -> None:
    assert len(store) == 3
    assert list(store) == list(store.keys()) == IDS
    assert dict(store).keys() == set(IDS)
    assert "beach" in store
    assert "sea" not in store
    assert (store.ids, store.classes) == (tuple(IDS), tuple(CLASSES))
    assert (store.grid, store.fusion) == ((4, 4), "maximum")
    assert "3 images, 3 classes" in repr(store)


@pytest.mark.parametrize(("key", "match"), [
    ("beech", "no image 'beech' among its 3; did you mean 'beach'"),
    ("zzz", "no image 'zzz' among its 3; it has beach, kitchen, empty"),
    (3, "must be 0 to 2, got 3"),
    (-1, "must be 0 to 2, got -1"),
    (True, r"place \(0 to 2\) or its id, got True"),
    (1.0, "or its id, got 1.0"),
    (None, "or its id, got None"),
    (slice(0, 2), "one image at a time"),
    (("beach", "cats"), "no class 'cats'; did you mean 'cat'"),
    (("beach", 0), "a class must be its name, got 0"),
    (("beach", slice(None)), "a class must be its name"),
    (("beach", "sofa"), "image 'beach' has no tag 'sofa'.*its tags are cat, dog"),
    (("empty", "sofa"), "its tags are none"),
    (("sea", "cat"), "no image 'sea'"),
    (("beach", "cat", 0), "an image, or an image and a class name"),
])  # fmt: skip
@pytest.mark.parametrize("builtin", [NoSuchMapError, KeyError, IndexError])
def test_a_key_that_names_no_map_is_refused_with_what_there_is(
    store: AttentionStore, key: Any, match: str, builtin: type[Exception]
) -> None:
    with pytest.raises(builtin, match=match):
        store[key]


def test_what_is_known_of_each_map_is_told_by_name(tmp_path: Path) -> None:
    with store_in(tmp_path) as store:
        feed(store, epoch=3)
        accumulate(
            store, torch.ones(1, 3, 4, 4), torch.tensor([LABELS[1]]), torch.tensor([1]), epoch=4
        )
        first, *_, last = store.records()
    assert first == ("beach", "cat", 1, 3, "accepted")
    assert last == ("kitchen", "sofa", 1, 3, "accepted")  # tied with absent classes: not accepted


def test_pairs_without_a_map_are_named(tmp_path: Path) -> None:
    with store_in(tmp_path) as store:
        store.writer()
        assert store.missing() == [("beach", "cat"), ("beach", "dog"), ("kitchen", "sofa")]
        feed(store)
        assert store.missing() == []


def test_a_store_without_maps_says_so_and_does_not_show_zeros(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with pytest.raises(StoreError, match="maps holds no committed maps yet; accumulate into it"):
        store[0]
    assert not (tmp_path / "maps").exists()


def test_a_reader_sees_each_commit_of_another_object(tmp_path: Path) -> None:
    reader = store_in(tmp_path)
    with store_in(tmp_path, fusion="running_mean") as other:
        feed(other)
        with pytest.raises(StoreError, match="no committed maps yet"):
            reader["beach"]
    reader = store_in(tmp_path, fusion="running_mean")
    assert reader["beach", "cat"][0, 0] == 0.5
    with store_in(tmp_path, fusion="running_mean", resume=True) as other:
        ones = torch.ones(1, 3, 4, 4) * torch.tensor(LABELS[0])[None, :, None, None]
        accumulate(other, ones, torch.tensor([LABELS[0]]), torch.tensor([0]))
        assert reader["beach", "cat"][0, 0] == 0.5
        second = other.commit()
        assert reader["beach", "cat"][0, 0] == 0.75
        other.roll_back(second - 1)
        feed(other)
        assert other.commit() == second  # the same number, other maps
        assert reader["beach", "cat"][0, 0] == 0.5
        assert [one.updates for one in reader.records()] == [2, 2, 2]


def test_a_store_is_opened_by_its_folder_alone(tmp_path: Path) -> None:
    with store_in(tmp_path, fusion="running_mean") as store:
        feed(store)
    found = AttentionStore.open(tmp_path / "maps")
    assert (list(found), found.grid, found.fusion) == (IDS, (4, 4), "running_mean")
    np.testing.assert_array_equal(found["beach", "cat"], EXPECTED)
    with pytest.raises(StoreNotEmptyError, match="resume=True"):
        feed(found)
    with AttentionStore.open(tmp_path / "maps", resume=True) as more:
        feed(more)
        assert [one.updates for one in more.records()] == [2, 2, 2]
    with pytest.raises(StoreError, match="holds no attention store"):
        AttentionStore.open(tmp_path)


# Made, or opened if it is the same


@pytest.mark.parametrize(("change", "match"), [
    ({"ids": ["beach", "kitchen", "sea"]}, "image 2 is 'empty', the data set's is 'sea'"),
    ({"classes": ["cat", "dog", "bed"]}, "another data set: its classes are"),
    ({"labels": [[1, 1, 0], [0, 1, 0], [0, 0, 0]]}, "image 1 is 'kitchen sofa'"),
    ({"grid": (8, 8)}, r"made with grid=\(4, 4\), requested \(8, 8\)"),
    ({"fusion": "running_mean"}, "made with fusion='maximum', requested 'running_mean'"),
])  # fmt: skip
def test_the_store_of_another_data_set_or_rule_is_refused_at_once(
    tmp_path: Path, change: dict[str, Any], match: str
) -> None:
    with store_in(tmp_path) as store:
        feed(store)
    same = {"ids": IDS, "classes": CLASSES, "labels": LABELS, "grid": (4, 4)}
    with pytest.raises(StoreMismatchError, match=match):
        AttentionStore(tmp_path / "maps", **(same | change))


@pytest.mark.parametrize(("change", "match"), [
    ({"labels": [[1, 1, 0]]}, r"labels must be \(3, 3\)"),
    ({"ids": "beach"}, "ids must be a list of names"),
    ({"classes": ["cat", "cat", "dog"]}, "got 'cat' twice"),
    ({"grid": 4}, r"grid must be \(h, w\)"),
    ({"fusion": "median"}, "fusion must be one of"),
    ({"resume": True, "overwrite": True}, "give one of them"),
])  # fmt: skip
def test_bad_arguments_are_named_before_a_folder_is_made(
    tmp_path: Path, change: dict[str, Any], match: str
) -> None:
    same: dict[str, Any] = {"ids": IDS, "classes": CLASSES, "labels": LABELS}
    with pytest.raises(StoreError, match=match):
        AttentionStore(tmp_path / "maps", **(same | change))
    assert not (tmp_path / "maps").exists()


def test_a_store_with_a_gate_on_record_opens_and_keeps_it(tmp_path: Path) -> None:
    pairs = Pairs(IDS, CLASSES, LABELS)  # type: ignore[arg-type]  # lists are taken as well
    header = Header(
        pairs.classes, pairs.fingerprint, (4, 4), "maximum", gate="top_k", first_epoch=1
    )
    with MemmapStore(tmp_path / "maps", header, pairs) as written:
        written.fuse(np.array([0]), np.array([0]), EXPECTED[None])
        written.commit()
    before = (tmp_path / "maps/header.json").read_bytes()
    with store_in(tmp_path, resume=True) as store:
        np.testing.assert_array_equal(store["beach", "cat"], EXPECTED)
        feed(store)
    assert (tmp_path / "maps/header.json").read_bytes() == before


# What becomes of maps that lie there already


def updates(folder: Path) -> list[int]:
    return [one.updates for one in store_in(folder).records()]


def test_a_second_run_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    with store_in(tmp_path) as store:
        feed(store)
    again = store_in(tmp_path)
    np.testing.assert_array_equal(again["beach", "cat"], EXPECTED)  # reading is always possible
    for write in (lambda: feed(again), again.commit, lambda: again.roll_back(0)):
        with pytest.raises(StoreNotEmptyError, match=r"resume=True.*overwrite=True"):
            write()
    assert updates(tmp_path) == [1, 1, 1]


def test_resume_adds_to_the_maps(tmp_path: Path) -> None:
    with store_in(tmp_path, resume=True) as store:  # nothing to resume yet: a first run may say it
        feed(store)
    with store_in(tmp_path, resume=True) as store:
        feed(store)
    assert updates(tmp_path) == [2, 2, 2]


def test_overwrite_replaces_the_maps_at_the_first_commit_and_then_goes_on(tmp_path: Path) -> None:
    with store_in(tmp_path) as store:
        feed(store)
        feed(store)
    with store_in(tmp_path, overwrite=True) as store:
        feed(store)
        assert updates(tmp_path) == [2, 2, 2]
        store.commit()
        assert updates(tmp_path) == [1, 1, 1]
    feed(store)  # the same object, written again after it was closed
    store.close()
    assert updates(tmp_path) == [2, 2, 2]
    assert len(committed(tmp_path / "maps")) == 2


def test_a_store_returns_to_an_earlier_commit(tmp_path: Path) -> None:
    with store_in(tmp_path) as store:
        feed(store)
        first = store.commit()
        feed(store)
        assert store.commit() == first + 1
    with store_in(tmp_path, resume=True) as store:
        store.roll_back(first)
        assert [one.updates for one in store.records()] == [1, 1, 1]
    assert updates(tmp_path) == [1, 1, 1]


# Closing


def test_close_commits_the_rest(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    feed(store)
    store.close()
    store.close()
    assert updates(tmp_path) == [1, 1, 1]
    assert committed(tmp_path / "maps") == [1]


def test_an_error_in_the_block_leaves_the_last_commit_and_reports_the_loss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        with store_in(tmp_path) as store:
            feed(store)
            store.commit()
            feed(store)
            raise ZeroDivisionError("as planned")

    with pytest.raises(ZeroDivisionError, match="as planned"):
        fail()
    assert "the maps since the last commit are lost; call store.commit()" in caplog.text
    assert updates(tmp_path) == [1, 1, 1]
    with store_in(tmp_path, resume=True) as store:  # the lock was released
        feed(store)


@pytest.mark.parametrize("committed_before", [True, False])
def test_a_store_that_is_forgotten_reports_what_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, committed_before: bool
) -> None:
    store = store_in(tmp_path)
    feed(store)
    if committed_before:
        store.commit()
    with caplog.at_level(logging.WARNING):
        del store
        gc.collect()
    assert ("are lost" in caplog.text) != committed_before


def test_one_object_writes_at_a_time(store: AttentionStore, tmp_path: Path) -> None:
    store.commit()
    with pytest.raises(StoreError, match="is being written by this very process"):
        feed(store_in(tmp_path, resume=True))


def test_a_copy_in_another_process_reads_what_was_committed(store: AttentionStore) -> None:
    store.commit()
    copy = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(copy["beach", "cat"], EXPECTED)
    with pytest.raises(StoreNotEmptyError, match="resume=True"):
        copy.open_writer(1, 2)
