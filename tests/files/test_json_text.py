"""JSON of strangers: nothing of it is dropped, and a reader needs to expect ValueError alone."""

import pytest

from oaa_pl.files.json_text import parse_json


@pytest.mark.parametrize(("text", "match"), [
    ('{"a": 1, "b": 2, "a": 3}', "the key 'a' comes twice"),
    ('[{"x": {"y": 1, "y": 1}}]', "the key 'y' comes twice"),
    ("[" * 100_000, "is nested too deeply"),
    ("{", "Expecting property name"),
    ("", "Expecting value"),
])  # fmt: skip
def test_what_cannot_be_read_whole_is_refused(text: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        parse_json(text)


def test_what_can_be_read_is_as_the_standard_library_has_it() -> None:
    assert parse_json(b'{"a": [1, 2.5, null, {}], "A": "\xc3\xa9"}') == {
        "a": [1, 2.5, None, {}], "A": "é",
    }  # fmt: skip
