from pathlib import Path
from typing import cast

import numpy as np
import pytest

from oaa_pl.data.class_counts import describe_classes, require_learnable
from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError


class Tags:
    """A source of one's own that checks nothing, without photos."""

    name, split, has_masks = "own", "train", False

    def __init__(self, labels: list[list[int]], *classes: str) -> None:
        self.classes = classes
        self.labels = np.array(labels, np.uint8)
        self.ids = tuple(str(n) for n in range(len(labels)))
        self.path = Path()


def source(labels: list[list[int]], *classes: str) -> Source:
    return cast(Source, Tags(labels, *classes))


def test_one_line_has_every_class_and_its_photos() -> None:
    tags = source([[1, 0, 0], [1, 1, 0]], "cat", "traffic light", "dog")
    assert describe_classes(tags) == "3 classes: cat (2), traffic light (1), dog (0)"
    many = source([[1, 1]] * 300, "a", "b")
    assert describe_classes(many) == "2 classes: a (300), b (300)"  # beyond 8 bits


def test_one_class_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="one class, 'red', and every photo has it: tags teach"):
        require_learnable(source([[1], [1], [1]], "red"))


def test_classes_that_every_photo_has_or_none_teach_nothing() -> None:
    with pytest.raises(ConfigError, match="no class is in some photos and absent from others"):
        require_learnable(source([[1, 1, 0], [1, 1, 0]], "red", "blue", "green"))


def test_one_that_is_absent_somewhere_is_enough() -> None:
    require_learnable(source([[1, 1], [1, 0]], "red", "blue"))


def test_a_source_of_ones_own_is_asked_for_classes_as_well() -> None:
    with pytest.raises(ConfigError, match="own: 'Background' cannot be a class"):
        require_learnable(source([[1, 1], [1, 0]], "red", "Background"))
    with pytest.raises(ConfigError, match="there are 255 classes"):
        require_learnable(source([[1] * 255], *map(str, range(255))))
