import numpy as np
import pytest

from oaa_pl.report.growth import growth_caption

LEFT, MIDDLE, RIGHT = np.eye(4, dtype=np.float32)[[0, 1, 2]].reshape(3, 2, 2)
NOTHING = np.zeros((2, 2), np.float32)


def test_attention_that_wanders_and_attention_that_stays_are_told_apart() -> None:
    wandering = {1: LEFT, 2: MIDDLE, 3: RIGHT}
    union = {1: LEFT, 2: LEFT + MIDDLE, 3: LEFT + MIDDLE + RIGHT}
    assert growth_caption(union, wandering, 0.3) == (
        "At 0.3 or above: 25 % of the photo after epoch 1 and 75 % after epoch 3, 25 % in epoch "
        "3’s attention alone. Overlap of the attention of two epochs in a row (IoU): 0.00 at "
        "first, 0.00 at last, 0.00 on average."
    )
    spreading = {1: LEFT, 2: LEFT + MIDDLE, 3: LEFT + MIDDLE}
    assert growth_caption(spreading, spreading, 0.3) == (
        "At 0.3 or above: 25 % of the photo after epoch 1 and 50 % after epoch 3, 50 % in epoch "
        "3’s attention alone. Overlap of the attention of two epochs in a row (IoU): 0.50 at "
        "first, 1.00 at last, 0.75 on average."
    )


@pytest.mark.parametrize(
    ("cumulative", "attention", "expected"),
    [
        (
            {1: LEFT},
            {1: LEFT},
            "25 % of the photo after epoch 1, 25 % in epoch 1’s attention alone.",
        ),
        ({1: LEFT, 4: LEFT}, {}, "after epoch 1 and 25 % after epoch 4."),
        # A map with nothing in it overlaps with none; what lies between is no neighbour.
        ({1: LEFT, 2: LEFT}, {1: NOTHING, 2: LEFT}, "25 % in epoch 2’s attention alone."),
        ({1: LEFT, 3: LEFT}, {1: LEFT, 3: LEFT}, "25 % in epoch 3’s attention alone."),
        ({1: LEFT, 2: LEFT}, {1: LEFT, 2: LEFT}, "attention of two epochs in a row (IoU): 1.00."),
    ],
)
def test_what_was_not_measured_is_not_said(
    cumulative: dict[int, np.ndarray], attention: dict[int, np.ndarray], expected: str
) -> None:
    assert growth_caption(cumulative, attention, 0.3).endswith(expected)


def test_the_threshold_is_the_one_given() -> None:
    half = {1: np.full((2, 2), 0.5, np.float32)}
    assert "At 0.5 or above: 100 %" in growth_caption(half, {}, 0.5)
    assert "At 0.51 or above: 0 %" in growth_caption(half, {}, 0.51)
