from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oaa_pl.attention.fusion import FUSIONS, Fusion, Maximum, RunningMean

BOTH = pytest.mark.parametrize("rule", FUSIONS.values(), ids=list(FUSIONS))
QUICK = settings(max_examples=25, deadline=None, derandomize=True)
SEEDS = st.integers(0, 10_000)


def drawn(seed: int, times: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Attention of one map at several times, (T, 1, 3, 4), and the cells that were shown."""
    generator = np.random.default_rng(seed)
    attention = generator.random((times, 1, 3, 4), dtype=np.float32)
    return attention, generator.random((times, 1, 3, 4)) < 0.7


def empty(rule: Fusion) -> np.ndarray:
    return np.zeros((1, rule.planes, 3, 4), rule.dtype)


def fused(rule: Fusion, attention: np.ndarray, inside: np.ndarray) -> np.ndarray:
    state = empty(rule)
    for one, shown in zip(attention, inside, strict=True):
        state = rule.update(state, one, shown)
    return state


@QUICK
@given(SEEDS)
def test_the_maximum_is_equation_5_in_plain_loops(seed: int) -> None:
    attention, inside = drawn(seed)
    # Steps of 1/256 are exact in float16, so that the oracle needs no rounding of its own.
    attention = np.round(attention * 256) / np.float32(256)
    cumulative = Maximum().cumulative(fused(Maximum(), attention, inside))
    for y in range(3):
        for x in range(4):
            value = 0.0
            for t in range(5):
                if inside[t, 0, y, x]:
                    value = max(value, float(attention[t, 0, y, x]))
            assert cumulative[0, y, x] == value


@QUICK
@given(SEEDS)
def test_the_running_mean_is_equation_10_in_plain_loops(seed: int) -> None:
    attention, inside = drawn(seed)
    cumulative = RunningMean().cumulative(fused(RunningMean(), attention, inside))
    for y in range(3):
        for x in range(4):
            value, t = 0.0, 0
            for now in range(5):
                if inside[now, 0, y, x]:
                    t += 1
                    value = ((t - 1) * value + float(attention[now, 0, y, x])) / t
            assert cumulative[0, y, x] == pytest.approx(value, abs=1 / 65536)


@BOTH
@QUICK
@given(seed=SEEDS)
def test_the_order_of_the_maps_does_not_matter(rule: Fusion, seed: int) -> None:
    attention, inside = drawn(seed, times=3)
    states = [
        fused(rule, attention[list(order)], inside[list(order)]) for order in permutations(range(3))
    ]
    assert all(np.array_equal(states[0], state) for state in states)


@QUICK
@given(SEEDS)
def test_the_mean_of_any_numbers_does_not_depend_on_their_order_by_a_single_bit(seed: int) -> None:
    """Which sums of floats do: here they are summed in fixed point."""
    attention, inside = drawn(seed, times=40)
    order = np.random.default_rng(seed).permutation(40)
    there = fused(RunningMean(), attention[order], inside[order])
    assert fused(RunningMean(), attention, inside).tobytes() == there.tobytes()


@BOTH
def test_shards_merge_to_what_one_process_accumulates(rule: Fusion) -> None:
    attention, inside = drawn(1, times=6)
    whole = fused(rule, attention, inside)
    odd, even = (fused(rule, attention[k::2], inside[k::2]) for k in (1, 0))
    assert np.array_equal(rule.merge(odd, even), whole)
    assert np.array_equal(rule.merge(even, odd), whole)


@BOTH
def test_merging_with_nothing_changes_nothing(rule: Fusion) -> None:
    state = fused(rule, *drawn(2))
    assert np.array_equal(rule.merge(state, empty(rule)), state)


@BOTH
def test_cumulative_attention_lies_in_zero_to_one(rule: Fusion) -> None:
    ones = np.ones((50, 1, 3, 4), np.float32) * np.float32(0.9999999)
    cumulative = rule.cumulative(fused(rule, ones, np.ones(ones.shape, bool)))
    assert cumulative.dtype == np.float32
    assert cumulative.min() >= 0
    assert cumulative.max() <= 1


@BOTH
def test_a_cell_that_was_never_shown_is_zero(rule: Fusion) -> None:
    attention, _ = drawn(3)
    cumulative = rule.cumulative(fused(rule, attention, np.zeros(attention.shape, bool)))
    assert not cumulative.any()


@BOTH
def test_the_arguments_are_left_alone(rule: Fusion) -> None:
    attention, inside = drawn(4)
    state = fused(rule, attention, inside)
    kept = state.copy(), attention.copy(), inside.copy()
    rule.update(state, attention[0], inside[0])
    rule.merge(state, state)
    for now, before in zip((state, attention, inside), kept, strict=True):
        assert np.array_equal(now, before)


@BOTH
def test_updating_keeps_the_dtype(rule: Fusion) -> None:
    assert fused(rule, *drawn(5)).dtype == rule.dtype


def test_fusing_the_same_map_again_changes_no_maximum() -> None:
    attention, inside = drawn(6, times=1)
    once = fused(Maximum(), attention, inside)
    assert np.array_equal(Maximum().update(once, attention[0], inside[0]), once)


def test_a_maximum_never_falls() -> None:
    attention, inside = drawn(7, times=20)
    before = empty(Maximum())
    for one, shown in zip(attention, inside, strict=True):
        after = Maximum().update(before, one, shown)
        assert (after >= before).all()
        before = after


def test_a_mean_is_not_darkened_by_a_crop_that_did_not_show_the_cell() -> None:
    attention = np.full((2, 1, 3, 4), 0.5, np.float32)
    inside = np.ones((2, 1, 3, 4), bool)
    inside[1, 0, :, :2] = False
    attention[1, 0, :, :2] = 0
    mean = RunningMean().cumulative(fused(RunningMean(), attention, inside))
    assert (mean == 0.5).all()


@BOTH
@pytest.mark.parametrize("kind", ["plain", "read-only", "by columns", "float64", "-0"])
@pytest.mark.parametrize("shown", ["everything", "all cells", "some cells", "no cell"])
def test_fusing_in_place_is_the_update_of_these_rows_alone(
    rule: Fusion, kind: str, shown: str
) -> None:
    generator = np.random.default_rng(0)
    attention = generator.random((3, 4, 5), np.float32)
    attention = {
        "plain": attention,
        "read-only": np.broadcast_to(attention[:1], attention.shape),
        "by columns": np.asfortranarray(attention),
        "float64": generator.random((3, 4, 5)),
        "-0": attention * (generator.random((3, 4, 5)) < 0.5) * np.float32(-0.0),
    }[kind]
    share = {"everything": 1.0, "all cells": 1.0, "some cells": 0.5, "no cell": 0.0}[shown]
    inside = generator.random(attention.shape) < share
    rows = np.array([6, 0, 3])
    state = np.zeros((8, rule.planes, 4, 5), rule.dtype)
    for _ in range(2):
        expected = state.copy()
        expected[rows] = rule.update(state[rows], attention, inside)
        rule.update_rows(state, rows, attention, None if shown == "everything" else inside)
        assert state.tobytes() == expected.tobytes()


def test_every_attention_is_rounded_to_float16_as_numpy_rounds_it() -> None:
    halves = np.arange(np.float16(1).view(np.uint16) + 1, dtype=np.uint16).view(np.float16)
    between = (halves[1:].astype(np.float32) + halves[:-1].astype(np.float32)) / 2
    near = [np.nextafter(between, np.float32(side)) for side in (0, 1)]
    values = np.concatenate([halves.astype(np.float32), between, *near])
    state = np.zeros((1, 1, 1, len(values)), np.float16)
    Maximum().update_rows(state, np.array([0]), values[None, None], None)
    assert state.tobytes() == values.astype(np.float16).tobytes()


def test_a_rule_with_its_own_update_inherits_no_shortcut_of_another() -> None:
    class Halved(Maximum):
        name = "halved for a test"

        def update(
            self, state: np.ndarray, attention: np.ndarray, inside: np.ndarray
        ) -> np.ndarray:
            return super().update(state, attention / 2, inside)

    rule = FUSIONS.pop("halved for a test")
    state = np.zeros((2, 1, 1, 1), np.float16)
    rule.update_rows(state, np.array([1]), np.ones((1, 1, 1), np.float32), None)
    assert state.ravel().tolist() == [0, 0.5]
