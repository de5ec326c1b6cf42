from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oaa_pl.attention.fusion import FUSIONS, Fusion, Maximum, RunningMean, fusion_named
from oaa_pl.attention.fusion_beyond_paper import ExponentialMean, NoisyOr, PowerMean
from oaa_pl.errors import ConfigError

RULES = [
    Maximum(), RunningMean(), NoisyOr(), PowerMean(1), PowerMean(3), PowerMean(6),
    ExponentialMean(0.3), ExponentialMean(1),
]  # fmt: skip
EVERY = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.label)
IN_ANY_ORDER = pytest.mark.parametrize(
    "rule", [rule for rule in RULES if not rule.in_order], ids=lambda rule: rule.label
)
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


def exponential_mean(seen: Sequence[float], rate: float = 0.3) -> float:
    total = weight = 0.0
    for value in seen:
        total = (1 - rate) * total + rate * value
        weight = (1 - rate) * weight + rate
    return total / weight


def noisy_or(seen: Sequence[float]) -> float:
    wrong = 1.0
    for value in seen:
        wrong *= 1 - value
    return 1 - wrong


def power_mean(seen: Sequence[float], exponent: int = 3) -> float:
    total = 0.0
    for value in seen:
        total += value**exponent
    return float((total / len(seen)) ** (1 / exponent))


@pytest.mark.parametrize(
    ("rule", "formula"),
    [
        (NoisyOr(), noisy_or),
        (PowerMean(3), power_mean),
        (ExponentialMean(0.3), exponential_mean),
        (ExponentialMean(1), lambda seen: seen[-1]),
        (PowerMean(1), lambda seen: sum(seen) / len(seen)),
    ],
    ids=lambda one: one.label if isinstance(one, Fusion) else "",
)
@QUICK
@given(seed=SEEDS)
def test_a_fusion_beyond_the_paper_is_its_formula_in_plain_loops(
    rule: Fusion, formula: Callable[[Sequence[float]], float], seed: int
) -> None:
    attention, inside = drawn(seed)
    cumulative = rule.cumulative(fused(rule, attention, inside))
    for y in range(3):
        for x in range(4):
            seen = [float(attention[t, 0, y, x]) for t in range(5) if inside[t, 0, y, x]]
            expected = formula(seen) if seen else 0.0
            assert cumulative[0, y, x] == pytest.approx(expected, abs=5e-5)


@EVERY
def test_one_map_is_read_as_it_was_fused(rule: Fusion) -> None:
    # Weaker attention is coarse for an exponent of 6.
    attention = (np.arange(8, 257) / np.float32(256)).astype(np.float32).reshape(1, 1, -1)
    state = np.zeros((1, rule.planes, 1, attention.size), rule.dtype)
    state = rule.update(state, attention, np.ones(attention.shape, bool))
    assert np.array_equal(rule.cumulative(state), attention)


@pytest.mark.parametrize("rule", [one for one in RULES if not isinstance(one, NoisyOr)])
def test_the_same_map_again_and_again_is_that_map(rule: Fusion) -> None:
    attention = np.repeat(np.round(drawn(8, times=1)[0] * 256) / np.float32(256), 60, axis=0)
    attention = attention.clip(8 / 256)
    cumulative = rule.cumulative(fused(rule, attention, np.ones(attention.shape, bool)))
    assert np.abs(cumulative - attention[0]).max() < 2e-6


def test_noisy_or_only_rises_and_a_full_attention_is_never_lost() -> None:
    rule, before = NoisyOr(), np.zeros((1, 3, 4), np.float32)
    attention, inside = drawn(9, times=200)
    attention[7, 0, 0, 0], inside[7, 0, 0, 0] = 1, True
    for t in range(200):
        after = rule.cumulative(fused(rule, attention[: t + 1], inside[: t + 1]))
        assert (after >= before).all()
        assert t < 7 or after[0, 0, 0] == 1
        before = after
    assert before.max() == 1


def test_a_power_mean_is_between_the_mean_and_the_maximum() -> None:
    attention, inside = drawn(10, times=9)
    mean, least, most, maximum = (
        rule.cumulative(fused(rule, attention, inside))
        for rule in (RunningMean(), PowerMean(2), PowerMean(6), Maximum())
    )
    for lower, higher in ((mean, least), (least, most), (most, maximum)):
        assert (lower <= higher + 1e-3).all()  # float16 keeps three digits
    assert (least < most).any()


def test_the_last_map_counts_most_in_an_exponential_mean() -> None:
    rule, inside = ExponentialMean(0.5), np.ones((2, 1, 3, 4), bool)
    attention = np.stack([np.zeros((1, 3, 4), np.float32), np.ones((1, 3, 4), np.float32)])
    rising = rule.cumulative(fused(rule, attention, inside))
    assert rising == pytest.approx(2 / 3, abs=1e-6)
    assert rule.cumulative(fused(rule, attention[::-1], inside)) == pytest.approx(1 / 3, abs=1e-6)


def test_later_maps_merge_behind_earlier_ones_of_an_exponential_mean() -> None:
    rule = ExponentialMean(0.3)
    attention, inside = drawn(11, times=6)
    whole = fused(rule, attention, inside)
    early, late = fused(rule, attention[:4], inside[:4]), fused(rule, attention[4:], inside[4:])
    assert rule.merge(early, late) == pytest.approx(whole, abs=1e-6)
    assert rule.merge(late, early) != pytest.approx(whole, abs=1e-3)
    # One later map, as between two commits of a training, is the update itself.
    early, late = fused(rule, attention[:5], inside[:5]), fused(rule, attention[5:], inside[5:])
    assert rule.merge(early, late).tobytes() == whole.tobytes()


def test_no_term_of_noisy_or_is_so_near_to_a_half_that_processors_could_round_it_apart() -> None:
    levels = np.arange(1 << 16) / (1 << 16)
    steps = -np.log1p(-levels) * NoisyOr.steps
    # Half of the logarithms' last bit is 6e-8 of a step.
    assert np.abs(steps - np.floor(steps) - 0.5).min() > 1e-6


@EVERY
def test_a_rule_is_found_by_its_label(rule: Fusion) -> None:
    found = fusion_named(rule.label)
    assert (type(found), vars(found)) == (type(rule), vars(rule))
    assert fusion_named(rule.label.replace(".0)", ")")).label == rule.label


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("softest", "one of maximum, running_mean, noisy_or, .*NUMBER.*got 'softest'"),
        ("", "one of maximum"),
        ("maximum(", "one of maximum"),
        ("power_mean", r"written power_mean\(exponent=NUMBER\), got 'power_mean'"),
        ("power_mean(exponent=3, rate=1)", r"written power_mean"),
        ("power_mean(exponent=x)", r"written power_mean"),
        ("power_mean(3)", r"written power_mean"),
        ("maximum(exponent=3)", "written maximum, got"),
        ("power_mean(exponent=2.5)", "whole number from 1 to 6, got 2.5"),
        ("power_mean(exponent=7)", "whole number from 1 to 6"),
        ("exponential_mean(rate=0)", "rate of an exponential mean must be from 0.0001 to 1"),
        ("exponential_mean(rate=nan)", "rate of an exponential mean"),
    ],
)
def test_a_label_of_no_rule_is_refused(label: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fusion_named(label)


@IN_ANY_ORDER
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


@IN_ANY_ORDER
def test_shards_merge_to_what_one_process_accumulates(rule: Fusion) -> None:
    attention, inside = drawn(1, times=6)
    whole = fused(rule, attention, inside)
    odd, even = (fused(rule, attention[k::2], inside[k::2]) for k in (1, 0))
    assert np.array_equal(rule.merge(odd, even), whole)
    assert np.array_equal(rule.merge(even, odd), whole)


@EVERY
def test_merging_with_nothing_changes_nothing(rule: Fusion) -> None:
    state = fused(rule, *drawn(2))
    assert np.array_equal(rule.merge(state, empty(rule)), state)


@EVERY
def test_cumulative_attention_lies_in_zero_to_one(rule: Fusion) -> None:
    ones = np.ones((50, 1, 3, 4), np.float32) * np.float32(0.9999999)
    cumulative = rule.cumulative(fused(rule, ones, np.ones(ones.shape, bool)))
    assert cumulative.dtype == np.float32
    assert cumulative.min() >= 0
    assert cumulative.max() <= 1


@EVERY
def test_a_cell_that_was_never_shown_is_zero(rule: Fusion) -> None:
    attention, _ = drawn(3)
    cumulative = rule.cumulative(fused(rule, attention, np.zeros(attention.shape, bool)))
    assert not cumulative.any()


@EVERY
def test_the_arguments_are_left_alone(rule: Fusion) -> None:
    attention, inside = drawn(4)
    state = fused(rule, attention, inside)
    kept = state.copy(), attention.copy(), inside.copy()
    rule.update(state, attention[0], inside[0])
    rule.merge(state, state)
    for now, before in zip((state, attention, inside), kept, strict=True):
        assert np.array_equal(now, before)


@EVERY
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


@EVERY
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


@EVERY
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
def test_a_batch_larger_than_one_part_is_fused_whole(
    rule: Fusion, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oaa_pl.attention.fusion._CELLS", 3 * 20)  # three maps a part
    generator = np.random.default_rng(count)
    attention = generator.random((count, 4, 5), np.float32)
    inside = generator.random(attention.shape) < 0.5
    inside[:3] = True  # a part with all cells before a part without
    rows = generator.permutation(9)[:count]
    state = rule.update(np.zeros((9, rule.planes, 4, 5), rule.dtype), *np.ones((2, 9, 4, 5), bool))
    expected = state.copy()
    expected[rows] = rule.update(state[rows], attention, inside)
    rule.update_rows(state, rows, attention, inside)
    assert state.tobytes() == expected.tobytes()


@EVERY
def test_no_map_changes_no_row(rule: Fusion) -> None:
    for rows in (0, 3):
        state = np.ones((rows, rule.planes, 4, 5), rule.dtype)
        rule.update_rows(state, np.zeros(0, np.int64), np.zeros((0, 4, 5), np.float32), None)
        assert (state == 1).all()


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

    rule = FUSIONS.pop("halved for a test")()
    state = np.zeros((2, 1, 1, 1), np.float16)
    rule.update_rows(state, np.array([1]), np.ones((1, 1, 1), np.float32), None)
    assert state.ravel().tolist() == [0, 0.5]
