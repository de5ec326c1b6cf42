"""Two records of how something was made."""

import pytest

from oaa_pl.runs.difference import first_difference


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, ""),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b=1, asked for is 2"),
        ({"a": 1}, {}, "a=1, asked for is None"),
        ({}, {"a": [1]}, "a=None, asked for is [1]"),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, "a=1, asked for is 2"),
    ],
)
def test_the_first_difference_is_named_by_its_key(old: object, new: object, expected: str) -> None:
    assert first_difference(old, new) == expected
