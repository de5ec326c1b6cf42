"""Two records of how something was made."""

import pytest

from oaa_pl.runs.difference import first_difference


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, ""),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b=1, requested 2"),
        ({"a": 1}, {}, "a=1, requested None"),
        ({}, {"a": [1]}, "a=None, requested [1]"),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, "a=1, requested 2"),
    ],
)
def test_the_first_difference_is_named_by_its_key(old: object, new: object, expected: str) -> None:
    assert first_difference(old, new) == expected
