import pickle
from dataclasses import FrozenInstanceError

import pytest

from oaa_pl.types import Draw


def test_a_draw_outside_training_is_the_first_epochs_and_no_repeat() -> None:
    assert Draw(3) == Draw(index=3, epoch=0, repeat=False)


def test_a_draw_is_a_value_that_travels_to_workers() -> None:
    draw = Draw(3, 7, repeat=True)
    assert pickle.loads(pickle.dumps(draw)) == draw
    assert hash(draw) == hash(Draw(3, 7, repeat=True))


def test_a_draw_cannot_be_changed_on_its_way() -> None:
    with pytest.raises(FrozenInstanceError, match="index"):
        Draw(3).index = 4  # type: ignore[misc]  # the point of the test
