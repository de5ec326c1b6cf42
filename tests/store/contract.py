"""What every accumulation store promises: a test class that each store's tests inherit."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from oaa_pl.attention.fusion import fusion_named
from oaa_pl.errors import StoreError
from oaa_pl.store.base import MapStore
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_FALLBACK, ORIGIN_NONE, Header, Pairs

Make = Callable[[str], MapStore]

# Every rule, with parameters for those that have some; and those that count maps by their order.
EVERY_FUSION = (
    "maximum", "running_mean", "noisy_or", "power_mean(exponent=3)", "exponential_mean(rate=0.25)",
)  # fmt: skip
ORDER_FREE = tuple(label for label in EVERY_FUSION if not fusion_named(label).in_order)
PAPERS = EVERY_FUSION[:2]

GRID = (3, 4)
# Images of zero, one, two and three classes; rows run 0, 1-2, 3-5 in this order.
LABELS = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 1], [1, 1, 1]], dtype=bool)
PAIRS = Pairs(("a", "b", "c", "d"), ("cat", "dog", "cow"), LABELS)


def header_of(fusion: str = "maximum", pairs: Pairs = PAIRS, **changes: Any) -> Header:
    return Header(pairs.classes, pairs.fingerprint, GRID, fusion, **changes)


def random_maps(count: int, seed: int = 0) -> np.ndarray:
    """Attention in steps of 1/256, which float16 and sums of float32 hold exactly."""
    values = np.random.default_rng(seed).integers(0, 257, (count, *GRID))
    return (values / 256).astype(np.float32)


def batch(*pairs: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Index and category of (image, class) pairs."""
    index, category = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return index, category


def fused(fusion: str, seen: np.ndarray) -> np.ndarray:
    """Maps (T, ...) in their order, fused by the rule of a label, as its formula has it."""
    weights = 0.75 ** np.arange(len(seen))[::-1]
    rules: dict[str, Callable[[], np.ndarray]] = {
        "maximum": lambda: seen.max(axis=0),
        "running_mean": lambda: seen.mean(axis=0),
        "noisy_or": lambda: 1 - (1 - seen.astype(np.float64)).prod(axis=0),
        "power_mean(exponent=3)": lambda: (seen.astype(np.float64) ** 3).mean(axis=0) ** (1 / 3),
        "exponential_mean(rate=0.25)": lambda: np.average(seen, axis=0, weights=weights),
    }
    return rules[fusion]()


def snapshot(store: MapStore) -> tuple[bytes, bytes]:
    """Every bit of a store's present state."""
    return np.asarray(store.state).tobytes(), store.rows.tobytes()


class StoreContract:
    """Subclasses give a fixture `make`: fusion name to an empty store over `PAIRS`."""

    @pytest.fixture(params=EVERY_FUSION)
    def store(self, make: Make, request: pytest.FixtureRequest) -> MapStore:
        store: MapStore = make(request.param)
        return store

    def test_a_new_store_is_empty(self, store: MapStore) -> None:
        assert store.generations() == []
        assert store.missing().tolist() == [[0, 1], [2, 0], [2, 2], [3, 0], [3, 1], [3, 2]]
        assert not store.maps(3).attention.any()
        assert store.rows["updates"].tolist() == [0] * 6

    def test_one_accepted_map_is_the_cumulative_map(self, store: MapStore) -> None:
        maps = random_maps(2)
        store.fuse(*batch((2, 2), (0, 1)), maps, epoch=4)
        assert np.array_equal(store.maps(2).attention[1], maps[0])
        assert np.array_equal(store.maps(0).attention[0], maps[1])
        assert store.rows["origin"].tolist() == [1, 0, 1, 0, 0, 0]
        assert store.rows["last_epoch"].tolist() == [4, 0, 4, 0, 0, 0]

    def test_accumulation_is_the_fusion_rule_map_by_map(self, store: MapStore) -> None:
        pairs = [(0, 1), (2, 0), (2, 2), (3, 0), (3, 1), (3, 2)]
        cumulative: dict[tuple[int, int], list[np.ndarray]] = {pair: [] for pair in pairs}
        for epoch in range(4):
            maps = random_maps(6, epoch)
            store.fuse(*batch(*pairs), maps, epoch=epoch)
            for pair, one in zip(pairs, maps, strict=True):
                cumulative[pair].append(one)
        for image, category in pairs:
            exact = fused(store.header.fusion, np.stack(cumulative[image, category]))
            here = store.maps(image).categories.tolist().index(category)
            assert store.maps(image).attention[here] == pytest.approx(exact, abs=1e-6)
        assert store.rows["updates"].tolist() == [4] * 6

    def test_a_batch_may_hold_the_same_pair_twice(self, store: MapStore, make: Make) -> None:
        pairs, maps = [(3, 1), (0, 1), (3, 1), (3, 1)], random_maps(4)
        store.fuse(*batch(*pairs), maps)
        alone = make(store.header.fusion)
        for pair, one in zip(pairs, maps, strict=True):
            alone.fuse(*batch(pair), one[None])
        assert snapshot(store) == snapshot(alone)

    def test_the_order_of_batches_matters_only_where_the_rule_says_it(
        self, make: Make, store: MapStore
    ) -> None:
        maps, seen = random_maps(3), set()
        for order in permutations(range(3)):
            other = make(store.header.fusion)
            for k in order:
                other.fuse(*batch((3, 1)), maps[k : k + 1])
            seen.add(snapshot(other))
        assert len(seen) == (6 if store.header.rule.in_order else 1)

    def test_cells_outside_the_view_are_left_alone(self, store: MapStore) -> None:
        left = np.zeros((1, *GRID), bool)
        left[..., :2] = True
        maps = np.full((1, *GRID), 0.5, np.float32)
        store.fuse(*batch((0, 1)), maps, left)
        store.fuse(*batch((0, 1)), maps / np.float32(2), ~left)
        assert store.maps(0).attention[0].tolist() == [[0.5, 0.5, 0.25, 0.25]] * 3

    def test_an_empty_batch_changes_nothing(self, store: MapStore) -> None:
        before = snapshot(store)
        store.fuse(*batch(), random_maps(0))
        store.fill(*batch(), random_maps(0))
        assert snapshot(store) == before

    def test_an_image_shows_its_present_classes(self, store: MapStore) -> None:
        store.fuse(*batch((2, 2)), random_maps(1))
        categories, attention = store.maps(2)
        assert categories.tolist() == [0, 2]
        assert attention.shape == (2, *GRID)
        assert attention.dtype == np.float32
        assert store.maps(1).attention.shape == (0, *GRID)

    def test_a_dense_map_is_zero_for_absent_classes(self, store: MapStore) -> None:
        maps = random_maps(2)
        store.fuse(*batch((2, 0), (2, 2)), maps)
        dense = store.dense(2)
        assert np.array_equal(dense, [maps[0], np.zeros(GRID), maps[1]])
        assert dense.dtype == np.float32

    def test_a_fallback_is_taken_where_nothing_was_accepted(self, store: MapStore) -> None:
        accepted, fallback = random_maps(1, 1), random_maps(2, 2)
        store.fuse(*batch((2, 0)), accepted, epoch=3)
        store.fill(*batch((2, 0), (2, 2)), fallback, epoch=9)
        assert np.array_equal(store.maps(2).attention, [accepted[0], fallback[1]])
        assert store.rows["origin"].tolist() == [
            ORIGIN_NONE, ORIGIN_ACCEPTED, ORIGIN_FALLBACK, *[ORIGIN_NONE] * 3,
        ]  # fmt: skip
        assert store.rows["updates"].tolist() == [0, 1, 0, 0, 0, 0]
        assert store.missing().tolist() == [[0, 1], [3, 0], [3, 1], [3, 2]]

    def test_a_later_fallback_replaces_an_earlier_one(self, store: MapStore) -> None:
        maps = random_maps(3)
        for one in maps:
            store.fill(*batch((0, 1)), one[None])
        assert np.array_equal(store.maps(0).attention[0], maps[2])
        store.fill(*batch((0, 1), (0, 1)), maps[:2])
        assert np.array_equal(store.maps(0).attention[0], maps[1])

    def test_an_accepted_map_makes_its_fallback_forgotten(self, store: MapStore) -> None:
        maps = random_maps(2)
        store.fill(*batch((0, 1)), maps[:1])
        store.fuse(*batch((0, 1)), maps[1:])
        assert np.array_equal(store.maps(0).attention[0], maps[1])
        assert store.rows["origin"][0] == ORIGIN_ACCEPTED

    def test_the_state_of_a_generation_comes_back(self, store: MapStore) -> None:
        states = [snapshot(store)]
        for epoch in range(2):
            store.fuse(*batch((3, 1), (0, 1)), random_maps(2, epoch), epoch=epoch)
            assert store.commit() == epoch + 1
            states.append(snapshot_without_checksums(store))
        store.fuse(*batch((3, 2)), random_maps(1, 9))
        store.roll_back(2)
        assert snapshot_without_checksums(store) == states[2]
        store.roll_back(1)
        assert snapshot_without_checksums(store) == states[1]
        store.roll_back(0)
        assert snapshot(store) == states[0]

    def test_rolling_back_drops_what_came_later(self, store: MapStore) -> None:
        for _ in range(2):
            store.commit()
        store.roll_back(1)
        assert store.generations() == [1]
        assert store.commit() == 2
        store.roll_back(0)
        assert store.generations() == []
        assert store.commit() == 1

    def test_accumulating_after_a_commit_leaves_the_generation_alone(self, store: MapStore) -> None:
        store.fuse(*batch((0, 1)), random_maps(1, 1))
        store.commit()
        committed = snapshot_without_checksums(store)
        store.fuse(*batch((0, 1)), random_maps(1, 2))
        store.roll_back(1)
        assert snapshot_without_checksums(store) == committed

    def test_a_repeated_epoch_ends_as_if_it_had_not_been_interrupted(
        self, store: MapStore, make: Make
    ) -> None:
        never = make(store.header.fusion)
        for epoch in range(3):
            never.fuse(*batch((3, 0), (3, 2)), random_maps(2, epoch), epoch=epoch)
            never.commit()
            store.fuse(*batch((3, 0), (3, 2)), random_maps(2, epoch), epoch=epoch)
            if epoch == 1:  # half of the epoch is done again
                store.roll_back(1)
                store.fuse(*batch((3, 0), (3, 2)), random_maps(2, epoch), epoch=epoch)
            store.commit()
        assert snapshot_without_checksums(store) == snapshot_without_checksums(never)

    def test_a_generation_that_was_never_committed_is_refused(self, store: MapStore) -> None:
        store.fuse(*batch((0, 1)), random_maps(1))
        store.commit()
        before = snapshot_without_checksums(store)
        with pytest.raises(StoreError, match="no generation 7"):
            store.roll_back(7)
        assert snapshot_without_checksums(store) == before
        assert store.generations() == [1]

    def test_an_absent_pair_is_named(self, store: MapStore) -> None:
        before = snapshot(store)
        with pytest.raises(StoreError, match=r"image 'c' has no tag 'dog'.*present classes only"):
            store.fuse(*batch((2, 0), (2, 1)), random_maps(2))
        assert snapshot(store) == before

    @pytest.mark.parametrize("pair", [(4, 0), (-1, 1), (0, 3), (0, -2)])
    def test_an_image_or_class_out_of_range_is_refused(
        self, store: MapStore, pair: tuple[int, int]
    ) -> None:
        with pytest.raises(StoreError, match="below 4 and 3"):
            store.fuse(*batch(pair), random_maps(1))

    @pytest.mark.parametrize("kind", [np.float64, np.bool_, np.str_])
    def test_places_must_be_whole_numbers(self, store: MapStore, kind: type) -> None:
        index, category = batch((0, 1))
        for places in ((index.astype(kind), category), (index, category.astype(kind))):
            with pytest.raises(StoreError, match="must be whole numbers"):
                store.fuse(*places, random_maps(1))

    @pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint64])
    def test_whole_numbers_of_any_size_are_places(self, store: MapStore, kind: type) -> None:
        index, category = batch((0, 1), (3, 2))
        store.fuse(index.astype(kind), category, random_maps(2))
        store.fuse(index, category.astype(kind), random_maps(2))
        assert store.rows["updates"].sum() == 4

    def test_index_and_category_must_be_alike(self, store: MapStore) -> None:
        with pytest.raises(StoreError, match="1-d, of one length"):
            store.fuse(np.array([0, 0]), np.array([1]), random_maps(2))

    @pytest.mark.parametrize("value", [np.nan, -0.01, 1.01, np.inf])
    @pytest.mark.parametrize("how", ["fuse", "fill"])
    def test_a_value_that_is_no_attention_never_gets_in(
        self, store: MapStore, value: float, how: str
    ) -> None:
        before = snapshot(store)
        maps = random_maps(2)
        maps[1, 1, 1] = value
        with pytest.raises(StoreError, match=r"must be in \[0, 1\]"):
            getattr(store, how)(*batch((2, 0), (2, 2)), maps)
        assert snapshot(store) == before

    @pytest.mark.parametrize("shape", [(1, 3, 4), (2, 4, 3), (2, 12), (2, 1, 3, 4)])
    def test_maps_of_another_grid_are_refused(
        self, store: MapStore, shape: tuple[int, ...]
    ) -> None:
        with pytest.raises(StoreError, match=r"must be \(2, 3, 4\) \(K, h, w\)"):
            store.fuse(*batch((2, 0), (2, 2)), np.zeros(shape, np.float32))

    @pytest.mark.parametrize("shape", [(3, 4), (1, 1, 1), (2, 3, 4)])
    def test_shown_cells_of_another_grid_are_refused(
        self, store: MapStore, shape: tuple[int, ...]
    ) -> None:
        before = snapshot(store)
        with pytest.raises(StoreError, match=r"inside must be \(1, 3, 4\)"):
            store.fuse(*batch((2, 0)), random_maps(1), np.ones(shape, bool))
        assert snapshot(store) == before


def snapshot_without_checksums(store: MapStore) -> tuple[bytes, bytes]:
    """As `snapshot`; a store may learn its rows' checksums at a commit or at a roll-back."""
    rows = store.rows.copy()
    rows["checksum"] = 0
    return np.asarray(store.state).tobytes(), rows.tobytes()
