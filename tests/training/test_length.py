"""How long a stage trains: epochs, or steps, and never fewer steps than it needs."""

from typing import Any

import pytest

from oaa_pl.errors import ConfigError
from oaa_pl.training.length import Length


@pytest.mark.parametrize(("images", "epochs"), [(50, 60), (300, 15), (10_582, 15), (4, 600)])
def test_few_photos_get_more_epochs_so_that_there_are_enough_steps(
    images: int, epochs: int
) -> None:
    planned = Length(epochs=15, batch_size=5, least_steps=600)
    assert planned.for_images(images, "classifier") == Length(epochs=epochs, batch_size=5)


def test_a_length_in_steps_is_as_long_for_any_number_of_photos() -> None:
    planned = Length(steps=7, batch_size=5, least_steps=600)
    assert planned.for_images(4, "classifier").planned("classifier") == (None, 7)


def test_epochs_count_before_steps() -> None:
    assert Length(epochs=2, steps=7).planned("classifier") == (2, -1)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, True, "many"])
def test_a_length_that_is_no_whole_number_is_refused(wrong: Any) -> None:
    for length in (Length(epochs=wrong), Length(steps=wrong)):
        with pytest.raises(ConfigError, match=r"segmenter: epochs, or steps if epochs is null"):
            length.planned("segmenter")


def test_without_any_length_nothing_is_trained() -> None:
    with pytest.raises(ConfigError, match="must be 1 or more and whole, got None"):
        Length().planned("integral hybrid")
