"""A share of a data set."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from oaa_pl.data.source import Source, fingerprint
from oaa_pl.data.subset import Subset, draw_fraction
from oaa_pl.data.voc import VocSource
from oaa_pl.errors import ConfigError


def test_fractions_of_one_seed_are_nested_and_keep_the_order() -> None:
    ids = [f"{i:03}" for i in range(100)]
    drawn = [draw_fraction(ids, share, seed=4) for share in (0.2, 0.5, 0.8, 1.0)]
    assert [len(share) for share in drawn] == [20, 50, 80, 100]
    for smaller, larger in pairwise(drawn):
        assert set(smaller) < set(larger)
    assert all(share == sorted(share) for share in drawn)
    assert draw_fraction(ids, 0.2, seed=5) != drawn[0]
    assert draw_fraction(ids, 0.001, seed=5)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.1])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="fraction must be above 0 and at most 1"):
        draw_fraction(["a"], fraction, seed=0)


def test_a_negative_fraction_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="fraction_seed must be 0 or more, got -1"):
        draw_fraction(["a"], 0.5, seed=-1)


def test_a_subset_is_the_whole_at_its_places(tiny_voc: Path) -> None:
    whole = VocSource(tiny_voc, "train")
    some = Subset(whole, [2, 0])
    assert isinstance(some, Source)
    assert some.ids == (whole.ids[2], whole.ids[0])
    for index, place in enumerate((2, 0)):
        np.testing.assert_array_equal(some.labels[index], whole.labels[place])
        np.testing.assert_array_equal(some.photo(index), whole.photo(place))
        np.testing.assert_array_equal(some.mask(index), whole.mask(place))
        assert some.photo_path(index) == whole.photo_path(place)
    assert (some.name, some.split, some.classes) == (whole.name, whole.split, whole.classes)
    assert fingerprint(some) != fingerprint(whole)
